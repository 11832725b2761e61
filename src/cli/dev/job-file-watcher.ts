/**
 * Watches the folders of the job files. Editors save in several steps, so it waits for them to settle, then tells once.
 * Must never keep the process alive by itself, and a folder that cannot be watched is told, not thrown.
 */
import { type FSWatcher, watch } from 'node:fs'

const SETTLED_MS = 80

export class JobFileWatcher {
  private readonly watchers = new Map<string, FSWatcher>()
  private timer: NodeJS.Timeout | null = null

  constructor(
    folders: readonly string[],
    private readonly events: { onSaved(): void; onTrouble(message: string): void },
  ) {
    this.follow(folders)
  }

  follow(folders: readonly string[]): void {
    for (const folder of folders) {
      if (this.watchers.has(folder)) continue
      try {
        const watcher = watch(folder, (_event, name) => this.saved(String(name ?? '')))
        watcher.on('error', () => this.watchers.delete(folder))
        this.watchers.set(folder, watcher)
      } catch (error) {
        this.events.onTrouble(
          `Cannot watch ${folder} (${(error as NodeJS.ErrnoException).code}); restart dev after a change there.`,
        )
      }
    }
  }

  close(): void {
    for (const watcher of this.watchers.values()) watcher.close()
    if (this.timer) clearTimeout(this.timer)
  }

  private saved(name: string): void {
    if (!/\.([cm]?[jt]s|json)$/.test(name) || name.startsWith('.')) return
    if (this.timer) clearTimeout(this.timer)
    this.timer = setTimeout(() => this.events.onSaved(), SETTLED_MS)
  }
}
