// The pad on which one draws, with mouse, finger, pen or keyboard.

const STEP = 10; // of an arrow key: a pixel of the 28 that the net is given

export function makePad({ canvas, cursor, brush, eraser, colour, say, changed }) {
  const context = canvas.getContext("2d");
  const edge = canvas.width;
  let place = [edge / 2, edge / 2], down = false;

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, edge, edge);
  }

  function line(from, to) {
    context.strokeStyle = eraser.getAttribute("aria-pressed") === "true" ? "#000" : colour.value;
    context.lineWidth = brush.value;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    changed();
  }

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * edge / box.width,
            (event.clientY - box.top) * edge / box.height];
  }

  canvas.addEventListener("pointerdown", event => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    [place, down] = [placeOf(event), true];
    line(place, place);
  });
  canvas.addEventListener("pointermove", event => {
    if (!down || !canvas.hasPointerCapture(event.pointerId)) return;
    const next = placeOf(event);
    line(place, next);
    place = next;
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => { down = false; });
  }

  // ---------------------------------------------------------------- keyboard

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function showCursor() {
    const scale = 100 / edge;
    cursor.style.left = `${place[0] * scale}%`;
    cursor.style.top = `${place[1] * scale}%`;
    cursor.style.width = cursor.style.height = `${brush.value * scale}%`;
    cursor.classList.toggle("down", down);
  }

  canvas.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " " || (event.key === "Escape" && down)) {
      down = event.key === " " && !down;
      say(down);
      if (down) line(place, place);
    } else if (event.key in arrows) {
      const next = place.map((value, axis) =>
        Math.min(edge, Math.max(0, value + STEP * arrows[event.key][axis])));
      if (down) line(place, next);
      place = next;
    } else return;
    event.preventDefault();
    showCursor();
    cursor.hidden = false;
  });
  canvas.addEventListener("focus", () => {
    showCursor();
    cursor.hidden = !canvas.matches(":focus-visible");
  });
  canvas.addEventListener("blur", () => { [down, cursor.hidden] = [false, true]; });

  clear();
  return {
    clear,
    show(picture) {
      context.imageSmoothingEnabled = false;
      context.drawImage(picture, 0, 0, edge, edge);
    },
    file: () => new Promise(done => canvas.toBlob(done, "image/png")),
  };
}
