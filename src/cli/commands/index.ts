/** All commands, in the order of the help. */
import type { CommandSpec } from '../command.js'
import { auditList, auditVerify } from './audit.js'
import { dbBackup, dbMigrate, dbPrune, dbStatus } from './db.js'
import { dev } from './dev.js'
import { doctor } from './doctor.js'
import { failuresForget, failuresList, failuresShow, failuresTeach, rulesAdd } from './failures.js'
import { filesGet, filesUpload } from './files.js'
import { inboxApprove, inboxChanges, inboxList, inboxReject, inboxShow } from './inbox.js'
import { init } from './init.js'
import { jobsCancel, jobsRetry } from './jobs-act.js'
import { jobsCompensate, jobsReplay } from './jobs-again.js'
import { groupsCancel, jobsBulk } from './jobs-bulk.js'
import { jobsHistory, jobsLogs, jobsSteps, jobsTries } from './jobs-detail.js'
import { jobsExplain } from './jobs-explain.js'
import { jobsGet, jobsResult } from './jobs-get.js'
import { jobsList } from './jobs-list.js'
import { jobsAnswer, jobsOverride, jobsPause, jobsResolve, jobsResume } from './jobs-operate.js'
import { jobsDecisions, jobsSignal } from './jobs-signal.js'
import { jobsWatch } from './jobs-watch.js'
import { keysCreate, keysList, keysRevoke, keysRotate } from './keys.js'
import { queuesList, queuesPause, queuesResume } from './queues.js'
import { explainErrorCommand, rulesList } from './rules.js'
import {
  schedulesCreate,
  schedulesDelete,
  schedulesList,
  schedulesNext,
  schedulesPause,
  schedulesResume,
  schedulesRun,
  schedulesShow,
  schedulesUpdate,
} from './schedules.js'
import { serve } from './serve.js'
import { submit } from './submit.js'
import { typesList, typesPause, typesResume, typesShow } from './types.js'
import { typesStory } from './types-story.js'
import { version } from './version.js'
import {
  webhooksAdd,
  webhooksDisable,
  webhooksEnable,
  webhooksGet,
  webhooksList,
  webhooksRemove,
  webhooksRotate,
} from './webhooks.js'
import { webhooksDeliveries, webhooksResend, webhooksTest } from './webhooks-deliveries.js'
import { webhooksListen } from './webhooks-listen.js'
import { workersDrain, workersList } from './workers.js'

export const COMMANDS: readonly CommandSpec[] = [
  init,
  dev,
  serve,
  submit,
  jobsList,
  jobsGet,
  jobsWatch,
  jobsResult,
  jobsCancel,
  jobsRetry,
  jobsPause,
  jobsResume,
  jobsAnswer,
  jobsReplay,
  jobsCompensate,
  jobsOverride,
  jobsResolve,
  jobsSignal,
  jobsBulk,
  jobsExplain,
  jobsTries,
  jobsSteps,
  jobsHistory,
  jobsLogs,
  jobsDecisions,
  groupsCancel,
  inboxList,
  inboxShow,
  inboxApprove,
  inboxReject,
  inboxChanges,
  typesList,
  typesShow,
  typesStory,
  typesPause,
  typesResume,
  queuesList,
  queuesPause,
  queuesResume,
  workersList,
  workersDrain,
  schedulesList,
  schedulesShow,
  schedulesCreate,
  schedulesUpdate,
  schedulesPause,
  schedulesResume,
  schedulesRun,
  schedulesDelete,
  schedulesNext,
  webhooksList,
  webhooksAdd,
  webhooksGet,
  webhooksRemove,
  webhooksEnable,
  webhooksDisable,
  webhooksRotate,
  webhooksTest,
  webhooksDeliveries,
  webhooksResend,
  webhooksListen,
  failuresList,
  failuresShow,
  failuresTeach,
  failuresForget,
  rulesList,
  rulesAdd,
  explainErrorCommand,
  filesUpload,
  filesGet,
  keysCreate,
  keysList,
  keysRevoke,
  keysRotate,
  auditList,
  auditVerify,
  dbStatus,
  dbMigrate,
  dbBackup,
  dbPrune,
  doctor,
  version,
]
