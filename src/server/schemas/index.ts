/** Every named schema: the components of the OpenAPI document. */
import type { z } from 'zod'
import * as job from './job.js'
import * as others from './others.js'
import * as requests from './requests.js'
import * as schedules from './schedules.js'

export const components = {
  Job: job.Job,
  Status: job.Status,
  Actor: job.Actor,
  JobProgress: job.JobProgress,
  JobError: job.JobError,
  JobWarning: job.JobWarning,
  JobOps: job.JobOps,
  Step: job.Step,
  JobPage: others.JobPage,
  JobEvent: others.JobEvent,
  EventPage: others.EventPage,
  HistoryEntry: others.HistoryEntry,
  HistoryPage: others.HistoryPage,
  Attempt: others.Attempt,
  AttemptList: others.AttemptList,
  StepList: others.StepList,
  LogLine: others.LogLine,
  LogPage: others.LogPage,
  Group: others.Group,
  JobType: others.JobType,
  JobTypeList: others.JobTypeList,
  Queue: others.Queue,
  QueueList: others.QueueList,
  StoredFile: others.StoredFile,
  ApiKey: others.ApiKey,
  ApiKeyList: others.ApiKeyList,
  WhoAmI: others.WhoAmI,
  Problem: others.Problem,
  SubmitRequest: requests.SubmitRequest,
  BatchItem: requests.BatchItem,
  BatchRequest: requests.BatchRequest,
  BatchAnswer: requests.BatchAnswer,
  Validation: requests.Validation,
  CancelRequest: requests.CancelRequest,
  RetryRequest: requests.RetryRequest,
  PauseRequest: requests.PauseRequest,
  ResumeRequest: requests.ResumeRequest,
  CreateKeyRequest: requests.CreateKeyRequest,
  RotateKeyRequest: requests.RotateKeyRequest,
  Schedule: schedules.Schedule,
  SchedulePage: schedules.SchedulePage,
  Upcoming: schedules.Upcoming,
  UpcomingList: schedules.UpcomingList,
  ScheduleValidation: schedules.ScheduleValidation,
  CreateScheduleRequest: schedules.CreateScheduleRequest,
  UpdateScheduleRequest: schedules.UpdateScheduleRequest,
  ScheduleActionRequest: schedules.ScheduleActionRequest,
} satisfies Record<string, z.ZodType>

export type ComponentName = keyof typeof components
