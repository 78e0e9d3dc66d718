// Doors: a card for each page. A plain click asks Python to change the page, which keeps the session; any other click, such as one for a
// new tab, is the link's own.

class Doors {
  constructor(parent) {
    this.list = el("ul", { class: "doors" });
    this.list.addEventListener("click", (event) => this.enter(event));
    parent.append(el("nav", { class: "root", "aria-label": "Doors" }, this.list));
  }

  wake() {}

  sleep() {}

  update({ data, setTriggerValue }) {
    this.send = setTriggerValue;
    const content = JSON.stringify(data.doors);
    if (content === this.content) return;
    this.content = content;
    this.list.replaceChildren(
      ...data.doors.map(({ path, title, text }) => el("li", {}, el("a", { class: "door", href: path, "data-path": path }, el("b", { text: title }), el("span", { text })))),
    );
  }

  enter(event) {
    const door = event.target.closest("a");
    if (!door || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.send("path", door.dataset.path);
  }
}

export default (component) => mountOnce(component, (parent) => new Doors(parent));
