// A no-op job whose handler runs in a process of its own. A module for itself, because that process imports it.
import { defineJob, jsonSchema } from 'untildone/define'

export const isolated = defineJob('isolated', { input: jsonSchema({ type: 'object' }) })
export const isolatedHandler = isolated.handler({ isolate: { module: import.meta.url } }, async (job) =>
  job.step('one', () => 1),
)
