/**
 * Replaces functions of Node's modules and globals for the time of a check, and puts them back. Names imported from
 * `node:` modules see the replacement too; copies that were made before do not.
 */
import { syncBuiltinESMExports } from 'node:module'

type Fn = (...args: any[]) => any

export class Patches {
  private readonly undo: (() => void)[] = []

  /** `make` gets the function that was there. A name that does not exist on this Node is left out. */
  replace(owner: object, name: string, make: (original: Fn) => Fn): void {
    const original = (owner as Record<string, unknown>)[name]
    if (typeof original !== 'function') return
    const made = make(original as Fn)
    // The name, the number of parameters, and what util.promisify looks for.
    Object.defineProperties(made, own(original))
    this.set(owner, name, made)
  }

  set(owner: object, name: string, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(owner, name)
    if (before?.configurable === false && !before.writable) return
    const enumerable = before?.enumerable ?? true
    Object.defineProperty(owner, name, { value, writable: true, configurable: true, enumerable })
    this.undo.push(() => {
      if (before) Object.defineProperty(owner, name, before)
      else delete (owner as Record<string, unknown>)[name]
    })
  }

  /** Has `undo` called when everything is put back. */
  onRestore(undo: () => void): void {
    this.undo.push(undo)
  }

  /** Makes the replacements visible to `import { name } from 'node:…'`. */
  publish(): void {
    syncBuiltinESMExports()
  }

  restore(): void {
    for (const undo of this.undo.splice(0).reverse()) undo()
    syncBuiltinESMExports()
  }
}

function own(original: object): PropertyDescriptorMap {
  const { prototype: _prototype, ...rest } = Object.getOwnPropertyDescriptors(original) as PropertyDescriptorMap
  return rest
}

let patches: Patches | null = null
let users = 0

/** Runs `fn` with the patches that `install` makes; checks that overlap share them. */
export async function patched<T>(install: (patches: Patches) => void, fn: () => Promise<T>): Promise<T> {
  users++
  try {
    if (!patches) {
      patches = new Patches()
      install(patches)
      patches.publish()
    }
    return await fn()
  } finally {
    if (--users === 0) {
      patches?.restore()
      patches = null
    }
  }
}
