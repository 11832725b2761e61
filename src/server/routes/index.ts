/** The table of routes, one file a resource. A new endpoint gets its place by its path. */
import type { Route } from '../route.js'
import { accessRoutes } from './access.js'
import { actionRoutes } from './actions.js'
import { approvalRoutes } from './approvals.js'
import { auditRoutes } from './audit.js'
import { bulkRoutes } from './bulk.js'
import { eventRoutes } from './events.js'
import { executionRoutes } from './execution.js'
import { failureRoutes } from './failures.js'
import { fileRoutes } from './files.js'
import { groupRoutes } from './groups.js'
import { healthRoutes } from './health.js'
import { jobTypeRoutes } from './job-types.js'
import { jobRoutes } from './jobs.js'
import { operatorRoutes } from './operator.js'
import { queueRoutes } from './queues.js'
import { referenceRoutes } from './reference.js'
import { rootRoutes } from './root.js'
import { scheduleRoutes } from './schedules.js'
import { signalRoutes } from './signals.js'
import { storyRoutes } from './story.js'
import { streamRoutes } from './streams.js'
import { submitRoutes } from './submit.js'
import { webhookRoutes } from './webhooks.js'
import { workerRoutes } from './workers.js'

export const routes: readonly Route[] = [
  ...submitRoutes,
  ...jobRoutes,
  ...eventRoutes,
  ...streamRoutes,
  ...actionRoutes,
  ...operatorRoutes,
  ...signalRoutes,
  ...approvalRoutes,
  ...executionRoutes,
  ...failureRoutes,
  ...storyRoutes,
  ...fileRoutes,
  ...groupRoutes,
  ...jobTypeRoutes,
  ...queueRoutes,
  ...workerRoutes,
  ...scheduleRoutes,
  ...webhookRoutes,
  ...accessRoutes,
  ...auditRoutes,
  ...bulkRoutes,
  ...rootRoutes,
  ...healthRoutes,
  ...referenceRoutes,
]
