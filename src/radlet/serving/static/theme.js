// Loaded before anything is drawn, so that a light room never flashes dark. Without a choice the system's theme holds.
(() => {
  const system = window.matchMedia("(prefers-color-scheme: light)");
  const apply = () => {
    const chosen = localStorage.getItem("radlet.theme");
    document.documentElement.dataset.theme = chosen ?? (system.matches ? "light" : "dark");
  };
  system.addEventListener("change", apply);
  window.addEventListener("radlet-theme", apply);
  apply();
})();
