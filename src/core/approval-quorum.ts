/**
 * Counts approvals against what is needed: one person fills one place, a named group's place takes its members, a place
 * of `any` takes everybody. Pure.
 */
import { ANY, type GroupNeed } from './risk.js'

export interface Quorum {
  needed: number
  filled: number
  /** What is still open, as a need. */
  open: GroupNeed[]
}

/**
 * The best way to seat the approvers (a maximum matching by augmenting paths): somebody of two groups takes the place
 * that nobody else can take, whoever came first.
 * @param people distinct persons
 */
export function quorumOf(need: readonly GroupNeed[], people: readonly { groups: readonly string[] }[]): Quorum {
  // Named groups first, so that a member leaves the places of `any` to others.
  const places = [...need]
    .sort((a, b) => Number(a.group === ANY) - Number(b.group === ANY))
    .flatMap(({ group, n }) => Array.from({ length: n }, () => group))
  const seated: (number | null)[] = places.map(() => null)

  const seat = (person: number, tried: Set<number>): boolean => {
    for (const [place, group] of places.entries()) {
      if (tried.has(place) || !belongs(people[person]!.groups, group)) continue
      tried.add(place)
      const other = seated[place]!
      if (other === null || seat(other, tried)) {
        seated[place] = person
        return true
      }
    }
    return false
  }
  let filled = 0
  for (const person of people.keys()) if (seat(person, new Set())) filled++

  const open = new Map<string, number>()
  for (const [place, group] of places.entries()) if (seated[place] === null) open.set(group, (open.get(group) ?? 0) + 1)
  return { needed: places.length, filled, open: [...open].map(([group, n]) => ({ group, n })) }
}

/** Whether somebody with these groups may take a place of `group`. */
export function belongs(groups: readonly string[], group: string): boolean {
  return group === ANY || groups.includes(group)
}
