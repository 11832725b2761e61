/**
 * What the jobs of the torture do. The input of each names its script, and the script says which end it must reach
 * whatever happens to the process in between: that demand is what the checker holds the library to.
 */

const steps = (n) => Array.from({ length: n }, (_, i) => `s${i}`)

/**
 * Per script: `weight` of being drawn; `make` the input; `recorded` the steps that must be recorded in the end; `end` the
 * outcome it must have; `act` what the client does besides submitting; `body` more members of the submit.
 */
export const SCRIPTS = {
  complete: {
    weight: 24,
    make: (r) => ({ steps: r.int(0, 5) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  parallel: {
    weight: 6,
    make: (r) => ({ steps: r.int(2, 4) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  large: {
    weight: 2,
    make: (r) => ({ steps: 2, pad: r.int(50_000, 90_000), ballast: r.text(r.pick([100, 70_000])) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  slow: {
    weight: 8,
    make: (r) => ({ steps: r.int(1, 3), waitMs: r.int(20, 150) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  permanent: {
    weight: 8,
    make: (r) => ({ steps: 4, at: r.int(0, 3) }),
    recorded: (i) => steps(i.at),
    end: { status: 'failed', phase: 'permanent', code: 'script-refused' },
  },
  transient: {
    weight: 12,
    make: (r) => ({ steps: r.int(1, 3), at: 0, times: r.int(1, 3) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  exhausted: {
    weight: 4,
    type: 'torture.limited',
    make: (r) => ({ steps: 2, at: r.int(0, 1), times: 1e9 }),
    recorded: (i) => steps(i.at),
    end: { status: 'failed', phase: 'exhausted', code: 'exhausted', errors: 3 },
  },
  harmless: {
    weight: 8,
    make: (r) => ({ steps: r.int(2, 4), at: r.int(0, 1) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'withWarnings', warning: 'script-noise' },
  },
  thrownHarmless: {
    weight: 3,
    make: () => ({ steps: 1 }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'withWarnings', warning: 'script-noise' },
  },
  review: {
    weight: 3,
    make: (r) => ({ steps: 2, at: r.int(0, 1) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
    act: 'retry',
  },
  cancelQueued: {
    weight: 3,
    make: () => ({ steps: 1 }),
    recorded: () => [],
    end: { status: 'cancelled', code: 'cancelled-by-caller' },
    act: 'cancel',
    body: (now) => ({ runAt: new Date(now + 3_600_000_000).toISOString() }),
  },
  cancelRunning: {
    weight: 4,
    make: () => ({ steps: 1 }),
    recorded: () => ['s0'],
    end: { status: 'cancelled', code: 'cancelled-by-caller' },
    act: 'cancelAfterStep',
  },
  cancelRace: {
    weight: 5,
    make: (r) => ({ steps: r.int(1, 4), waitMs: r.pick([0, 0, 20]) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
    or: { status: 'cancelled', code: 'cancelled-by-caller' },
    act: 'cancel',
  },
  deadline: {
    weight: 3,
    make: () => ({ steps: 2, at: 1, times: 1e9 }),
    recorded: () => ['s0'],
    some: true,
    end: { status: 'failed', phase: 'deadline', code: 'deadline-passed' },
    body: (now) => ({ deadlineAt: new Date(now + 3000).toISOString() }),
  },
  overlap: {
    weight: 6,
    make: (r) => ({ steps: 2, lingerMs: r.int(50, 250) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  /** Weight 0: only where it is asked for. Its first attempt waits so long for a successor that it surely ends stale. */
  lingering: {
    weight: 0,
    make: () => ({ steps: 1, lingerMs: 3000 }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  first: {
    weight: 3,
    make: () => ({ steps: 0 }),
    recorded: () => ['pick', 'pick/fast'],
    end: { status: 'completed', phase: 'clean' },
  },
  child: {
    weight: 2,
    make: () => ({ steps: 1 }),
    recorded: () => ['child', 's0'],
    end: { status: 'completed', phase: 'clean' },
  },
  file: {
    weight: 3,
    type: 'torture.file',
    make: () => ({ steps: 1 }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
}

/** Jobs of `together` so far. */
let grouped = 0

/** For systems of several processes: what waits, what is called and what shares a limit. Weights count among these alone. */
const OF_MANY = {
  /** Its second attempt waits for a first one that stood still. */
  overtaken: {
    weight: 4,
    make: (r) => ({ steps: 2, waitMs: r.int(20, 100), lingerMs: r.int(50, 250), patienceMs: 8000 }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  sleeper: {
    weight: 8,
    make: (r) => ({ steps: 2, napMs: r.int(50, 1500) }),
    recorded: (i) => [...steps(i.steps), 'nap'],
    end: { status: 'completed', phase: 'clean' },
  },
  signalled: {
    weight: 8,
    type: 'torture.signalled',
    make: (r) => ({ steps: r.int(0, 2) }),
    recorded: (i) => [...steps(i.steps), 'go'],
    end: { status: 'completed', phase: 'clean' },
    act: 'signal',
  },
  mother: {
    weight: 10,
    make: (r) => ({ steps: 1, offspring: r.int(1, 3), childWaitMs: r.pick([0, 0, 30, 200]) }),
    recorded: (i) => ['s0', ...Array.from({ length: i.offspring }, (_, n) => `child${n}`)],
    end: { status: 'completed', phase: 'clean' },
  },
  motherCancelled: {
    weight: 4,
    make: (r) => ({ steps: 0, offspring: r.int(1, 3), childWaitMs: r.pick([50, 400]) }),
    recorded: (i) => Array.from({ length: i.offspring }, (_, n) => `child${n}`),
    end: { status: 'completed', phase: 'clean' },
    or: { status: 'cancelled', code: 'cancelled-by-caller' },
    act: 'cancel',
  },
  /** Never drawn: what the mothers call. It goes with its mother. */
  offspring: {
    weight: 0,
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
    or: { status: 'cancelled' },
  },
  narrow: {
    weight: 12,
    type: 'torture.narrow',
    make: (r) => ({ steps: 1, waitMs: r.int(10, 120), lane: r.pick(['left', 'right']) }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  /** Those lanes are full, and places are handed on; here a few that come together share one with all its places free. */
  together: {
    weight: 6,
    type: 'torture.narrow',
    make: (r) => ({ steps: 1, waitMs: r.int(10, 120), lane: `group ${Math.floor(grouped++ / 5)}` }),
    recorded: (i) => steps(i.steps),
    end: { status: 'completed', phase: 'clean' },
  },
  pay: {
    weight: 6,
    make: () => ({ steps: 1 }),
    recorded: () => ['pay', 's0'],
    end: { status: 'completed', phase: 'clean' },
  },
  /** A person is asked where nobody else can tell, and stops what has not happened. */
  transfer: {
    weight: 6,
    make: () => ({ steps: 1 }),
    recorded: () => ['pay', 's0'],
    end: { status: 'completed', phase: 'clean' },
    or: { status: 'cancelled' },
    act: 'answer',
  },
}

const names = Object.keys(SCRIPTS)
const bag = names.flatMap((name) => new Array(SCRIPTS[name].weight).fill(name))
const ALL = { ...SCRIPTS, ...OF_MANY }

/** Everything that systems of several processes are given to do. */
export const FOR_MANY = Object.entries(ALL).flatMap(([name, { weight }]) => new Array(weight).fill(name))

/** A job to submit: its body, and what the client has to do besides. `only` limits the scripts. */
export function draw(r, serial, now, only = null) {
  const script = only ? r.pick(only) : r.pick(bag)
  const { make, type = 'torture', body, act = null } = ALL[script]
  return {
    script,
    act,
    body: {
      type,
      input: { script, serial, ...make(r) },
      ...(body ? body(now) : {}),
      priority: r.pick([0, 0, 0, 10, 60, -5]),
    },
  }
}

/** The demand of a job's input: steps that must be recorded, and the ends that are right. */
export function demandOf(input) {
  const { recorded, end, or, some = false } = ALL[input.script]
  return { recorded: recorded(input), ends: or ? [end, or] : [end], some }
}
