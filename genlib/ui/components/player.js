// The player: one scrubber for every panel. Python hears of the step when the user stops moving, never of each frame of an animation.

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const MAX_GIF_FRAMES = 120;

class Player {
  constructor(parent) {
    this.panelsBox = el("div", { class: "panels" });
    this.caption = el("div", { class: "caption", "data-testid": "player-caption" });
    this.charts = el("div", { class: "charts" });
    const small = (label, iconName, keys, testid, onClick) => button(label, { iconName, show: false, keys, testid: `player-${testid}`, onClick });
    this.playButton = small("Play", "play", "Space", "play", () => this.toggle());
    this.playButton.classList.add("main");
    this.loopButton = small("Loop", "loop", "L", "loop", () => this.setLoop(!this.loop));
    this.followButton = button("Follow", { iconName: "follow", keys: "F", testid: "player-follow", onClick: () => this.setFollowing(!this.following) });
    this.scrub = el("input", { class: "scrub", type: "range", min: 0, step: 1, "aria-label": "Step", "data-testid": "player-scrub" });
    this.scrub.addEventListener("input", () => {
      this.pause(false);
      this.go(+this.scrub.value);
    });
    this.scrub.addEventListener("change", () => this.commit());
    this.count = el("span", { class: "count", "data-testid": "player-count" });
    this.speed = el("select", { "aria-label": "Speed", title: "Speed", "data-testid": "player-speed" }, ...SPEEDS.map((s) => el("option", { value: s, text: `${s}×` })));
    this.speed.value = "1";
    this.gifButton = button("GIF", { iconName: "save", testid: "player-gif", onClick: () => this.saveGif() });
    this.pngButton = button("PNG", { iconName: "save", testid: "player-png", onClick: () => this.savePng() });
    this.controls = el(
      "div",
      { class: "bar", role: "group", "aria-label": "Playback" },
      small("First", "first", "Home", "first", () => this.jump(0)),
      small("Back", "previous", "Left arrow", "back", () => this.jump(this.step - 1)),
      this.playButton,
      small("Forward", "next", "Right arrow", "forward", () => this.jump(this.step + 1)),
      small("Last", "last", "End", "last", () => this.jump(this.total - 1)),
      this.scrub,
      this.count,
      this.speed,
      this.loopButton,
      this.followButton,
      this.pngButton,
      this.gifButton,
    );
    this.live = el("div", { class: "sr", role: "status", "aria-live": "polite" });
    this.root = el("div", { class: "root", tabindex: "-1", "data-testid": "player" }, this.panelsBox, this.caption, this.charts, this.controls, this.live);
    parent.append(this.root);
    this.pictures = new Map(); // sheet id -> decoded picture
    this.loop = false;
    this.later = new Later(() => this.commit(), 300);
    this.size = watchSize(this.root, () => {
      this.resize();
      this.draw();
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  wake() {
    this.size.start();
  }

  sleep() {
    // A message sent while the component goes away would be lost: it is owed, and sent when the user comes back.
    this.owed ||= this.later.due || Boolean(this.timer);
    this.pause(false);
    this.later.cancel();
    if (this.data) this.remember();
    this.size.stop();
  }

  // New frames are shown only once every sheet is decoded: panels never disagree, and nothing flickers. Where there is nothing to decode
  // they are on the screen with the answer itself.
  async update({ data, setStateValue }) {
    this.send = setStateValue;
    this.theme = readTheme(this.root);
    const token = (this.token = {});
    const sheets = data.panels.flatMap((panel) => panel.sheets);
    const fresh = sheets.filter(({ id }) => !this.pictures.has(id));
    const decoded = fresh.length ? await Promise.all(fresh.map(async ({ id, png }) => [id, await decodePng(png)])) : [];
    if (this.token !== token) return;
    for (const [id, picture] of decoded) this.pictures.set(id, picture);
    this.adopt(data);
    const used = new Set(sheets.map(({ id }) => id));
    for (const id of this.pictures.keys()) if (!used.has(id)) this.pictures.delete(id);
  }

  adopt(data) {
    const restart = !this.data || data.source !== this.data.source;
    const kept = MEMORY.get(data.key);
    const first = !this.data;
    this.data = { ...data, series: data.series.map(unpackSeries) };
    this.total = data.total;
    if (restart) {
      this.pause(false);
      this.later.cancel();
      if (first && kept && kept.kind === "player" && kept.source === data.source) Object.assign(this, kept.state);
      else Object.assign(this, { step: data.follow ? this.total - 1 : data.start, following: data.follow, nonce: newNonce(), owed: false });
      if (first) this.setLoop(data.loop);
      this.remember();
    }
    if (this.owed) this.later.start();
    this.owed = false;
    this.step = this.following ? this.total - 1 : clamp(this.step, 0, this.total - 1);
    this.followButton.hidden = !data.follow;
    this.gifButton.hidden = this.pngButton.hidden = !data.export_name;
    this.scrub.max = this.total - 1;
    this.build();
    this.resize();
    if (this.sizes) this.paint();
    if (restart && data.autoplay && this.total > 1 && !reducedMotion()) this.play();
  }

  remember() {
    const { step, following, nonce, owed } = this;
    MEMORY.set(this.data.key, { kind: "player", source: this.data.source, state: { step, following, nonce, owed } });
  }

  // --- moving --------------------------------------------------------------------------------------------------------------------------

  go(step) {
    this.step = clamp(step, 0, this.total - 1);
    // Following is a choice to stay at the newest frame: going to the end makes it, leaving the end ends it.
    this.following = this.data.follow && this.step === this.total - 1;
    this.draw();
  }

  jump(step) {
    this.pause(false);
    this.go(step);
    this.live.textContent = `Step ${this.step + 1} of ${this.total}. ${this.captionText()}`;
    this.later.start();
  }

  setFollowing(on) {
    this.pause(false);
    this.go(on ? this.total - 1 : this.step);
    this.following = on;
    this.commit();
    this.draw();
  }

  setLoop(on) {
    this.loop = on;
    press(this.loopButton, on);
  }

  toggle() {
    this.timer ? this.pause() : this.play();
  }

  play() {
    if (this.timer || this.total < 2) return;
    if (this.step === this.total - 1) this.go(0);
    this.following = false;
    this.later.cancel();
    const tick = () => {
      const wait = 1000 / (this.data.fps * +this.speed.value);
      this.timer = setTimeout(() => {
        if (this.step < this.total - 1) this.go(this.step + 1);
        else if (this.loop) this.go(0);
        if (this.step === this.total - 1 && !this.loop) this.pause();
        else tick();
      }, wait);
    };
    tick();
    this.showPlaying();
  }

  pause(commit = true) {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = 0;
    this.showPlaying();
    if (commit) this.commit();
  }

  showPlaying() {
    setIcon(this.playButton, this.timer ? "pause" : "play");
    this.playButton.setAttribute("aria-label", this.timer ? "Pause" : "Play");
    this.playButton.title = this.timer ? "Pause (Space)" : "Play (Space)";
    this.draw();
  }

  key(event) {
    if (!this.data || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.composedPath()[0];
    if (target === this.speed) return; // the list has arrow keys of its own
    const onButton = target instanceof HTMLButtonElement;
    const actions = {
      ArrowRight: () => this.jump(this.step + 1),
      ArrowLeft: () => this.jump(this.step - 1),
      Home: () => this.jump(0),
      End: () => this.jump(this.total - 1),
      ...(this.data.stride && {
        ArrowDown: () => this.jump(this.step + this.data.stride),
        ArrowUp: () => this.jump(this.step - this.data.stride),
      }),
      l: () => this.setLoop(!this.loop),
      f: () => this.data.follow && this.setFollowing(!this.following),
    };
    // A focused button must keep its own Space; the play button's does the same thing anyway.
    if (!onButton) actions[" "] = () => this.toggle();
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
    if (action || event.key.length === 1) event.stopPropagation(); // Streamlit's own one-letter shortcuts
  }

  commit() {
    this.later.cancel();
    this.remember();
    this.send("value", { source: this.data.source, nonce: this.nonce, step: this.step, following: this.following });
  }

  captionText() {
    const { captions } = this.data;
    if (!captions?.columns) return captions?.[this.step] ?? "";
    return this.fillCaption(captions, this.step);
  }

  // --- saving --------------------------------------------------------------------------------------------------------------------------

  fileName(extension) {
    return `${this.data.export_name}.${extension}`;
  }

  savePng() {
    const picture = this.compose(this.step, 1600);
    picture.toBlob((blob) => download(blob, this.fileName("png")), "image/png");
  }

  async saveGif() {
    this.gifButton.disabled = true;
    const label = this.gifButton.querySelector("span");
    try {
      const frames = [];
      // A long film keeps its length and its end, but not every frame: all of them are in memory at once.
      const every = Math.ceil(this.total / MAX_GIF_FRAMES);
      for (let step = (this.total - 1) % every; step < this.total; step += every) {
        const picture = this.compose(step, 720);
        frames.push(picture.getContext("2d").getImageData(0, 0, picture.width, picture.height));
        label.textContent = `${Math.round((50 * (step + 1)) / this.total)} %`;
        if (frames.length % 8 === 0) await new Promise((resolve) => setTimeout(resolve));
      }
      const bytes = await encodeGif(frames, every / (this.data.fps * +this.speed.value), (share) => {
        label.textContent = `${Math.round(50 + 50 * share)} %`;
      });
      download(new Blob([bytes], { type: "image/gif" }), this.fileName("gif"));
    } finally {
      this.gifButton.disabled = false;
      label.textContent = "GIF";
    }
  }
}

Object.assign(Player.prototype, playerPanels, playerView);

export default (component) => mountOnce(component, (parent) => new Player(parent));
