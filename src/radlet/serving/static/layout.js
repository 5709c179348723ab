// What the screen is given to: all three columns, without the worklist, or the film alone.

import { button, find, make } from "./dom.js";
import { keepLiking, liking } from "./kept.js";

/** From this width on two films and the worklist have room side by side. */
const WIDE_PX = 1700;

/** Make the buttons; whether the worklist is there is as the reader left it. */
export function begin() {
  find("#film-tools").append(
    make(
      "div",
      { class: "group", id: "layout", role: "group", "aria-label": "What is shown" },
      button("Worklist", { id: "fold", sign: "worklist", key: "q", title: "Show or fold the worklist", on: { click: fold } }),
      button("Film alone", { id: "alone", sign: "alone", key: "z", on: { click: () => alone() } }),
    ),
  );
  turn("folded", liking("worklist") === "folded");
}

/** Fold the worklist away, or show it again. */
export function fold() {
  const folded = !isAway();
  alone(false);
  turn("lent", false);
  turn("folded", folded);
  keepLiking("worklist", folded ? "folded" : null);
}

/** Give the worklist's room to the films while two are compared on a narrow screen, or take it back; returns `on`. */
export function lend(on) {
  turn("lent", on && window.innerWidth < WIDE_PX);
  return on;
}

/** Give the screen to the film alone, or take it back; tells whether that changed anything. */
export function alone(on = !is("alone")) {
  if (on === is("alone")) return false;
  turn("alone", on);
  return true;
}

/** Show the worklist, whatever was folded. */
export function unfold() {
  if (isAway()) fold();
}

const is = (name) => document.body.classList.contains(name);
const isAway = () => ["folded", "lent", "alone"].some(is);

function turn(name, on) {
  document.body.classList.toggle(name, on);
  find("#fold").setAttribute("aria-pressed", String(!isAway()));
  find("#alone").setAttribute("aria-pressed", String(is("alone")));
}
