/** What a client must do; see `machine/effects.py`. */
export const effects = {
  dial: (epoch) => ({ effect: "dial", epoch }),
  hangUp: (polite) => ({ effect: "hang_up", polite }),
  wait: (epoch, longest, tries, code, reason) => ({ effect: "wait", epoch, longest, tries, code, reason }),
  report: (phase, code = null, reason = "") => ({ effect: "report", phase, code, reason }),
  tried: (failed) => ({ effect: "tried", failed }),
  reopened: () => ({ effect: "reopened" }),
  send: (id) => ({ effect: "send", id }),
  ask: (id, question, seq) => ({ effect: "ask", id, question, seq }),
  deliver: (id) => ({ effect: "deliver", id }),
  confirm: (id) => ({ effect: "confirm", id }),
  later: (epoch, id, delay) => ({ effect: "later", epoch, id, delay }),
  turn: (epoch, id, delay) => ({ effect: "turn", epoch, id, delay }),
  end: (id, why, { code = null, reason = "", times = 0, size = 0, stored = false } = {}) => ({
    effect: "end", id, why, code, reason, times, size, stored,
  }),
  forget: (id, sent) => ({ effect: "forget", id, sent }),
  unclear: (waiting) => ({ effect: "unclear", waiting }),
};
