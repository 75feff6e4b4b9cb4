/** An immutable table whose newest version is as fast as a plain Map; see `machine/table.py`. */
export class Table {
  #items; // null when another table has it
  #change = null; // the table that has it instead, and the value that differs in this one

  constructor(items = new Map()) {
    this.#items = items;
  }

  get size() { return this.#all().size; }

  has(key) { return this.#all().has(key); }

  get(key) { return this.#all().get(key) ?? null; }

  [Symbol.iterator]() { return this.#all().values(); }

  put(key, value) {
    const items = this.#all();
    const newer = this.#given(items, key);
    items.set(key, value);
    return newer;
  }

  without(key) {
    const items = this.#all();
    const newer = this.#given(items, key);
    items.delete(key);
    return newer;
  }

  #given(items, key) {
    const newer = new Table(items);
    this.#change = { newer, key, value: items.get(key) };
    this.#items = null;
    return newer;
  }

  #all() {
    if (this.#items === null) {
      const undo = [this.#change];
      for (let { newer } = this.#change; newer.#change !== null; { newer } = newer.#change) undo.push(newer.#change);
      const items = new Map(undo.at(-1).newer.#items);
      for (const { key, value } of undo.reverse()) {
        if (value === undefined) items.delete(key);
        else items.set(key, value);
      }
      this.#items = items;
      this.#change = null;
    }
    return this.#items;
  }
}
