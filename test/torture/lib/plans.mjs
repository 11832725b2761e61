/**
 * Plans of the store, seen from outside: a plan asks for statements and is given their answers, or waits for what it has
 * asked before: such a step is no statement.
 */

/**
 * The same plan, but that whoever looks decides what becomes of each step.
 * @param plan a plan of the store
 * @param ask generator function: is given a step, yields what is really asked, and returns the answer for the plan
 */
export function* asking(plan, ask) {
  let step = plan.next()
  while (!step.done) {
    let answer
    try {
      answer = yield* ask(step.value)
    } catch (error) {
      step = plan.throw(error)
      continue
    }
    step = plan.next(answer)
  }
  return step.value
}
