/** Lists of the fake engine: the filters that streams use. Never in the package. */
import type { WireJob } from '../../core/index.js'
import type { ListQuery } from '../../engine/api.js'

export function listed(all: readonly WireJob[], query: ListQuery): WireJob[] {
  const { id, type, status, groupId, tag, updatedAfter, order } = query
  const found = all.filter(
    (job) =>
      (!id || id.includes(job.id)) &&
      (!type || type.some((one) => (one.endsWith('*') ? job.type.startsWith(one.slice(0, -1)) : one === job.type))) &&
      (!status || status.includes(job.status)) &&
      (!groupId || job.groupId === groupId) &&
      (!tag || job.tags.includes(tag)) &&
      (updatedAfter === undefined || Date.parse(job.updatedAt) > updatedAfter) &&
      (order !== '-finishedAt' || job.done),
  )
  if (order === undefined || order === 'createdAt') return found
  return found.toReversed()
}
