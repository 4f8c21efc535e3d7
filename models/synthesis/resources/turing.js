"use strict";
(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const n = study.images.length;
  const at = (id) => document.getElementById(id);
  const PREFIX = `liverlabel-turing:${study.study}`;
  let state = null;
  let shownAt = 0;
  let keeps = true;

  const read = (key) => { try { return localStorage.getItem(key); } catch { keeps = false; return null; } };
  const write = (key, text) => { try { localStorage.setItem(key, text); } catch { keeps = false; } };
  const forget = (key) => { try { localStorage.removeItem(key); } catch { keeps = false; } };

  const keep = () => {
    write(`${PREFIX}:${state.reader}`, JSON.stringify(state));
    write(PREFIX, state.reader);
  };

  const open = (reader) => {
    let former = null;
    try { former = JSON.parse(read(`${PREFIX}:${reader}`)); } catch { former = null; }
    const fits = former && Array.isArray(former.answers) && former.answers.length === n;
    state = fits ? former : { reader, position: 0, answers: Array(n).fill(null), seconds: Array(n).fill(0) };
    keep();
    state.answers.includes(null) ? look(state.position) : finish();
  };

  const show = (name) => ["start", "look", "end"].forEach((id) => { at(id).hidden = id !== name; });

  const spend = () => {
    if (shownAt) state.seconds[state.position] += Math.round((performance.now() - shownAt) / 100) / 10;
    shownAt = 0;
  };

  const look = (position) => {
    spend();
    state.position = position;
    keep();
    const answered = state.answers.filter((one) => one !== null).length;
    at("image").src = study.images[position];
    at("image").alt = `Image ${position + 1}`;
    at("place").textContent = `Image ${position + 1} of ${n}`;
    at("whose").textContent = state.reader;
    at("left").textContent = `${answered} answered`;
    at("done").style.width = `${100 * answered / n}%`;
    for (const answer of ["real", "synthetic"]) {
      at(answer).classList.toggle("chosen", state.answers[position] === answer);
    }
    at("back").disabled = position === 0;
    at("next").disabled = position === n - 1 && state.answers.includes(null);
    [...at("dots").children].forEach((dot, k) => {
      dot.className = `${state.answers[k] === null ? "" : "has"} ${k === position ? "here" : ""}`;
    });
    show("look");
    shownAt = performance.now();
  };

  const answer = (value) => {
    state.answers[state.position] = value;
    step(1);
  };

  const step = (by) => {
    const position = state.position + by;
    if (position < 0) return;
    if (position < n) return look(position);
    const open = state.answers.indexOf(null);
    open < 0 ? finish() : look(open);
  };

  const finish = () => {
    spend();
    keep();
    const { schema, schema_version } = study;
    const file = {
      schema, schema_version, study: study.study, reader: state.reader,
      answers: state.answers, seconds: state.seconds.map((one) => Math.round(10 * one) / 10),
    };
    const text = JSON.stringify(file) + "\n";
    at("name").textContent = state.reader;
    at("answers").textContent = text;
    at("save").href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    at("save").download = `answers-${study.study}-${state.reader.replace(/[^A-Za-z0-9]+/g, "_")}.json`;
    show("end");
  };

  for (let k = 0; k < n; k += 1) {
    const dot = document.createElement("button");
    dot.type = "button";
    dot.textContent = k + 1;
    dot.title = `Image ${k + 1}`;
    dot.addEventListener("click", () => look(k));
    at("dots").append(dot);
  }
  at("real").addEventListener("click", () => answer("real"));
  at("synthetic").addEventListener("click", () => answer("synthetic"));
  at("back").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  at("review").addEventListener("click", () => look(0));
  const change = () => {
    spend();
    keep();
    state = null;
    forget(PREFIX);
    at("reader").value = "";
    show("start");
    at("reader").focus();
  };
  at("another").addEventListener("click", change);
  at("switch").addEventListener("click", change);
  at("who").addEventListener("submit", (event) => {
    event.preventDefault();
    const reader = at("reader").value.trim();
    if (reader) open(reader);
  });
  document.addEventListener("keydown", (event) => {
    if (at("look").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const key = event.key.toLowerCase();
    if (key === "r") answer("real");
    else if (key === "s") answer("synthetic");
    else if (key === "arrowleft") step(-1);
    else if (key === "arrowright") at("next").disabled || step(1);
    else return;
    event.preventDefault();
  });

  write(`${PREFIX}:`, "");
  const last = read(PREFIX);
  at("unsaved").hidden = keeps;
  if (last) open(last);
})();
