// The page: what the user chooses goes to the server, and what the net makes of it is shown.

import { makePad } from "/page/pad.js";
import { bytesOf, draw, drawChannels, drawMap, drawOverlay, drawRamp, givenPixels }
  from "/page/pictures.js";
import { words } from "/page/words.js";

const by = id => document.getElementById(id);
const IMAGES = 12; // test images at once
const LARGEST = 20e6; // bytes of a picture, as the server has it

let say = words.en;
let net = null; // facts about the chosen net
let images = null; // test images for it
let picture = null; // {file, source: "test" | "file" | "drawing", label}
let found = null; // what the net made of the picture, and of which picture
let chosen = null; // number of the class whose map lies over the picture; null: the predicted one
let failure = null; // what went wrong
let lit = null; // the file whose maps lit up last: moving the slider does not repeat that

// ------------------------------------------------------------------ asking the server

async function ask(address, options) {
  let reply;
  try {
    reply = await fetch(address, options);
  } catch {
    throw { error: "offline" };
  }
  if (reply.ok) return reply.json();
  throw await reply.json().catch(() => ({ error: "unexpected" }));
}

const query = fields => new URLSearchParams(fields).toString();

function showFailure(problem) {
  failure = problem;
  by("error").hidden = !problem;
  by("error").textContent = problem ? sentence(problem) : "";
}

function sentence({ error, sentence: english }) {
  const own = say.errors[error];
  if (error === "net" && own) return own + english;
  return own || english || say.errors.unexpected;
}

async function chooseNet(id) {
  try {
    const facts = await ask(`/api/net?${query({ net: id })}`);
    if (by("net").value !== id) return; // another one has been chosen meanwhile
    net = facts;
    const { sizes } = net;
    by("size").max = sizes.length - 1;
    by("size").value = sizes.indexOf(net.size);
    by("size").disabled = sizes.length === 1;
    by("colour-label").hidden = net.shape[2] === 1;
    if (net.shape[2] === 1) by("colour").value = "#ffffff";
    [found, chosen] = [null, null];
    await chooseImages(0);
    if (!picture || picture.source === "test") takeImage(images.images[0]);
    else look();
    failure = null;
  } catch (problem) {
    failure = problem;
    if (net) by("net").value = net.id;
  }
  write();
}

async function chooseImages(first) {
  images = await ask(`/api/images?${query({ net: net.id, first, count: IMAGES })}`);
  writeImages();
}

// One request at a time; of those that come in meanwhile only the last counts.
let busy = false, again = false;

async function look() {
  if (!net || !picture) return;
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  do {
    again = false;
    const asked = { ...picture, net: net.id, file: picture.file || await pad.file() };
    const invert = asked.source === "file" ? by("invert").value : "no";
    const address = `/api/look?${query({ net: net.id, size: net.sizes[by("size").value], invert })}`;
    try {
      if (asked.file.size > LARGEST) throw { error: "large" };
      const result = await ask(address, { method: "POST", body: asked.file });
      if (asked.net !== net.id) continue;
      found = { ...result, picture: { ...asked, invert } };
      showFailure(null);
      if (asked.source !== "drawing" && asked.source === picture.source) {
        pad.show(givenPixels(found.given));
      }
      writeResult(true);
    } catch (problem) {
      showFailure(problem);
    }
  } while (again);
  busy = false;
}

// ------------------------------------------------------------------ choosing a picture

function takeImage(image) {
  const file = new Blob([bytesOf(image.png)], { type: "image/png" });
  picture = { file, source: "test", label: image.label, dataset: images.dataset };
  chosen = null;
  look();
}

function takeFile(file) {
  if (!file) {
    showFailure({ error: "empty" });
    return;
  }
  picture = { file, source: "file" };
  chosen = null;
  look();
}

function takeDrawing() {
  picture = { file: null, source: "drawing" };
  look();
}

const pad = makePad({
  canvas: by("pad"), cursor: by("cursor"), brush: by("brush"), eraser: by("eraser"),
  colour: by("colour"), changed: takeDrawing,
  say: down => { by("pad-state").textContent = down ? say.penDown : say.penUp; },
});

by("clear").addEventListener("click", () => { pad.clear(); takeDrawing(); });
by("eraser").addEventListener("click", ({ target }) => {
  target.setAttribute("aria-pressed", target.getAttribute("aria-pressed") !== "true");
});
by("file").addEventListener("change", ({ target }) => {
  if (target.files.length) takeFile(target.files[0]);
  target.value = "";
});
by("invert").addEventListener("change", () => { if (picture?.source === "file") look(); });
by("others").addEventListener("click", async () => {
  if (!images) return;
  const last = images.images[images.images.length - 1].number;
  await chooseImages((last + 1) % images.total).catch(showFailure);
});
by("net").addEventListener("change", ({ target }) => chooseNet(target.value));
by("size").addEventListener("input", () => { writeSize(); look(); });

const body = document.body;
addEventListener("dragover", event => { event.preventDefault(); body.classList.add("dragging"); });
addEventListener("dragleave", event => {
  if (!event.relatedTarget) body.classList.remove("dragging");
});
addEventListener("drop", event => {
  event.preventDefault();
  body.classList.remove("dragging");
  takeFile(event.dataTransfer.files[0]);
});
addEventListener("paste", event => {
  if (event.clipboardData.files.length) takeFile(event.clipboardData.files[0]);
});

// ------------------------------------------------------------------ showing

const digits = value => Math.abs(value) < 9.995 ? value.toFixed(2) : value.toFixed(1);
const className = name => say.classes[name] || name;
const titleOf = dataset => say.titles[dataset] || dataset;

function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function write() {
  document.documentElement.lang = say.language;
  document.title = say.title;
  for (const each of document.querySelectorAll("[data-word]")) {
    each.textContent = say[each.dataset.word];
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", words[button.dataset.language] === say);
  }
  by("pad").setAttribute("aria-label", say.pad);
  by("behind").replaceChildren(...say.paragraphs.map(text => element("p", { text })));
  for (const option of by("net").options) {
    option.textContent = option.value === ":pretrained" ? say.pretrained : option.value;
  }
  showFailure(failure);
  if (images) writeImages();
  if (net) {
    by("facts").textContent = say.facts(net, titleOf(net.dataset));
    by("size-help").textContent = net.fixed ? say.sizeFixed[net.fixed] : say.sizeHelp;
    writeSize();
  }
  writeResult(false);
}

function writeSize() {
  const text = say.pixels(net.sizes[by("size").value]);
  by("size-text").textContent = text;
  by("size").setAttribute("aria-valuetext", text);
}

function writeImages() {
  by("images-title").textContent = images.dataset !== net.dataset || net.dataset === "sample"
    ? say.drawnImages : net.held_out ? say.heldOutImages : say.testImages;
  by("images").replaceChildren(...images.images.map(image => {
    const name = say.imageName(image.number, className(image.label));
    const button = element("button", { type: "button", title: name }, element("img", {
      src: `data:image/png;base64,${image.png}`, alt: name, width: 28, height: 28 }));
    button.addEventListener("click", () => takeImage(image));
    return button;
  }));
}

function notesOf(largest) {
  const { notes } = say, { source, label, dataset } = found.picture, list = [];
  const best = net.classes[found.best];
  if (label !== undefined) {
    list.push(net.classes.includes(label) ? say.truth(className(label), label === best)
      : say.labelled(className(label)));
  }
  if (largest === 0) list.push(notes.nothing(net.classes.length));
  if (found.inverted && found.picture.invert === "auto") list.push(notes.inverted);
  if (net.dataset === "sample") {
    if (source !== "test") list.push(notes.drawnNet);
  } else if (source !== "test") list.push(notes[source][net.dataset]);
  else if (dataset !== net.dataset) list.push(notes.drawnImage(titleOf(net.dataset)));
  if (!net.classes.includes(label)) list.push(notes.always(net.classes.length));
  if (found.size !== net.size) list.push(notes.otherSize(found.size, net.size));
  if (net.epochs < net.planned_epochs) list.push(notes.early(net.epochs, net.planned_epochs));
  if (net.accuracy !== null && net.accuracy < 0.6) list.push(notes.weak(net));
  return list;
}

function writeResult(fresh) {
  if (!found) { // nothing of an earlier net stays
    by("verdict").textContent = say.waiting;
    for (const id of ["short", "legend-text", "overlay-text"]) by(id).textContent = "";
    for (const id of ["notes", "classes", "layers"]) by(id).replaceChildren();
    for (const id of ["overlay", "ramp"]) by(id).width = by(id).width; // clears it
    return;
  }
  const { maps, scores, probabilities } = found;
  found.best = probabilities.indexOf(Math.max(...probabilities));
  const largest = Math.max(...maps.flat(2).map(Math.abs));
  const scale = largest || 1;
  const verdict = say.verdict(className(net.classes[found.best]), probabilities[found.best]);
  by("verdict").textContent = by("short").textContent = verdict;
  announce(verdict);
  by("notes").replaceChildren(...notesOf(largest).map(text => element("li", { text })));
  by("score-title").textContent = net.fixed === "dense" ? say.dense : say.average;
  by("classes").replaceChildren(...net.classes.map((_, k) => row(k, scale)));
  by("classes").className = "";
  if (fresh && found.picture.file !== lit && found.picture.source !== "drawing") {
    lit = found.picture.file;
    void by("classes").offsetWidth; // so that the animation starts again
    by("classes").className = "fresh";
  }
  by("legend-text").textContent = say.legend(digits(largest));
  drawRamp(by("ramp"));
  writeOverlay(scale);
  writeLayers();
}

// For screen readers, which would otherwise be told at every stroke.
let later = 0;

function announce(text) {
  clearTimeout(later);
  later = setTimeout(() => { by("said").textContent = text; }, 700);
}

function row(k, scale) {
  const name = className(net.classes[k]), map = found.maps[k], values = map.flat();
  const largest = Math.max(...values), at = values.indexOf(largest);
  const button = element("button", { type: "button", text: name,
    "aria-pressed": k === (chosen ?? found.best) });
  button.addEventListener("click", () => {
    chosen = k;
    writeResult(false);
    by("classes").rows[k].querySelector("button").focus();
  });
  const drawn = element("canvas", { role: "img", "aria-label": say.mapText(name, map.length,
    map[0].length, digits(largest),
    [Math.floor(at / map[0].length) + 1, at % map[0].length + 1]) });
  drawMap(drawn, map, scale);
  const average = element("div", { class: "average" });
  if (net.fixed !== "dense") {
    const one = element("canvas", { "aria-hidden": "true" });
    drawMap(one, [[found.scores[k]]], scale);
    average.append(one);
  }
  average.append(element("span", { text: digits(found.scores[k]) }));
  const filled = element("div");
  filled.style.width = `${100 * found.probabilities[k]}%`;
  const chance = element("div", { class: "chance" },
    element("div", { class: "bar", "aria-hidden": "true" }, filled),
    element("span", { text: `${(100 * found.probabilities[k]).toFixed(1)} %` }));
  return element("tr", { class: k === found.best ? "best" : "" },
    element("th", { scope: "row" }, button), element("td", { class: "map" }, drawn),
    element("td", {}, average), element("td", {}, chance));
}

function writeOverlay(scale) {
  const k = chosen ?? found.best, map = found.maps[k];
  drawOverlay(by("overlay"), found.given, map, scale, net.field, found.size);
  const text = say.overlay(className(net.classes[k]), map.length, map[0].length,
    net.field[0][1], net.field[0][2], found.size);
  by("overlay-text").textContent = text;
  by("overlay").setAttribute("aria-label", text);
}

// ------------------------------------------------------------------ layers

function layerWords(layer, last) {
  const kinds = layer.windows.map(each => each.kind), [first] = layer.windows;
  const convolutions = layer.windows.filter(each => each.kind === "convolution");
  if (!kinds.length) return [say.dropout, say.about.dropout];
  if (convolutions.length) {
    const pooling = layer.windows.find(each => each.kind === "max");
    return [say.block(convolutions) + (pooling ? say.pooled(pooling) : ""),
      last ? say.about.last : say.about.block];
  }
  if (kinds[0] === "max") return [say.max(first), say.about.max];
  if (kinds[0] === "average") return [say.mean(first), say.about.mean];
  if (kinds[0] === "global average") return [say.gap, say.about.gap];
  if (kinds[0] === "dense") return [say.denseLayer, say.about.denseLayer];
  return [say.flatten, say.about.flatten];
}

function writeLayers() {
  const { layers } = found;
  const last = layers.findLastIndex(({ windows }) =>
    windows.some(each => each.kind === "convolution"));
  const [height, width, channels] = net.shape;
  const input = element("canvas", { role: "img", "aria-label": say.input, width: 408, height: 64 });
  draw(input, givenPixels(found.given), 0, 0, 64, 64 * height / width);
  by("layers").replaceChildren(
    item(say.input, "", [channels, found.size, found.size], "", input),
    ...layers.map((layer, i) => {
      const [name, about] = layerWords(layer, i === last);
      if (!layer.channels || !layer.windows.length) {
        return item(name, about, layer.shape);
      }
      const canvas = element("canvas", { role: "img",
        "aria-label": say.montage(name, layer.channels) });
      drawChannels(canvas, layer);
      return item(name, about, layer.shape, say.living(layer.living, layer.shape[0]), canvas);
    }));
}

function item(name, about, shape, living = "", canvas = null) {
  const text = element("div", {}, element("h3", { text: name }),
    element("div", { class: "shape", text: say.channels(shape) }),
    element("div", { class: "small", text: `${about} ${living}` }));
  return element("li", {}, text, ...(canvas ? [canvas] : []));
}

// ------------------------------------------------------------------ language, theme, start

function speak(language) {
  say = words[language];
  write();
}

function remembered() {
  try {
    return localStorage.getItem("language");
  } catch {
    return null; // the browser keeps nothing
  }
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    speak(button.dataset.language);
    try {
      localStorage.setItem("language", button.dataset.language);
    } catch { /* the browser keeps nothing */ }
  });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => writeResult(false));

async function start() {
  const wished = new URLSearchParams(location.search).get("lang") || remembered()
    || (navigator.language.startsWith("zh") ? "zh" : "en");
  speak(wished in words ? wished : "en");
  try {
    const ids = await ask("/api/nets");
    by("net").replaceChildren(...ids.map(value => element("option", { value, text: value })));
    await chooseNet(ids[0]);
  } catch (problem) {
    showFailure(problem);
  }
}

start();
