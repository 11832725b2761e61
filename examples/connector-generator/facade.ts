// The older API of this example, as data: what its documentation promises, over the job types of this folder. The server
// reads it at its start; there is no code behind any of these addresses.
import type { Facade } from 'untildone/server'

export const connectorGenerator: Facade = {
  name: 'connector-generator',
  status: {
    accepted: 'queued',
    processing: 'running',
    blocked: 'running',
    completed: 'finished',
    failed: 'failed',
    cancelled: 'failed',
  },
  time: 'seconds',
  progress: {
    stage: '$progress.stage',
    message: '$progress.message',
    processedDocuments: '$progress.completed',
    totalDocuments: '$progress.total',
    completedIterations: '$progress.iterations.completed',
    totalIterations: '$progress.iterations.total',
  },
  progressWhen: { failed: null, cancelled: null },
  // The documentation gives no HTTP status for this; its clients read the body.
  notFound: { code: 200, body: { jobId: '$id', status: 'not_found' } },
  presets: { started: { jobId: '$job.id', status: '$status' } },
  routes: [
    {
      op: 'submit',
      method: 'POST',
      path: '/discovery/{sessionId}/discovery',
      map: { type: 'discovery.getCandidateLinks', groupId: '$req.params.sessionId', input: '$req.body' },
      respond: '$preset.started',
    },
    {
      op: 'get',
      method: 'GET',
      path: '/discovery/{sessionId}/discovery',
      jobId: '$req.query.jobId',
      latestOf: { groupId: '$req.params.sessionId', type: 'discovery.getCandidateLinks' },
      respond: '$preset.jobStatus',
    },
    {
      op: 'submit',
      method: 'POST',
      path: '/scrape/{sessionId}/scrape',
      map: { type: 'scrape.getRelevantDocumentation', groupId: '$req.params.sessionId', input: '$req.body' },
      respond: '$preset.started',
    },
    {
      op: 'get',
      method: 'GET',
      path: '/scrape/{sessionId}/scrape',
      jobId: '$req.query.jobId',
      latestOf: { groupId: '$req.params.sessionId', type: 'scrape.getRelevantDocumentation' },
      respond: '$preset.jobStatus',
    },
    {
      op: 'submit',
      method: 'POST',
      path: '/documentation/{sessionId}/documentation',
      map: { type: 'documentation.processUpload', groupId: '$req.params.sessionId', input: '$req.body' },
      respond: '$preset.started',
    },
    {
      op: 'get',
      method: 'GET',
      path: '/documentation/{sessionId}/documentation',
      jobId: '$req.query.jobId',
      latestOf: { groupId: '$req.params.sessionId', type: 'documentation.processUpload' },
      respond: '$preset.jobStatus',
    },
    {
      op: 'submit',
      method: 'POST',
      path: '/digester/{sessionId}/digester',
      map: { type: 'digester.getObjectClass', groupId: '$req.params.sessionId', input: '$req.body' },
      respond: '$preset.started',
    },
    {
      op: 'get',
      method: 'GET',
      path: '/digester/{sessionId}/digester',
      jobId: '$req.query.jobId',
      latestOf: { groupId: '$req.params.sessionId', type: 'digester.getObjectClass' },
      respond: '$preset.jobStatus',
    },
    {
      op: 'submit',
      method: 'POST',
      path: '/codegen/{sessionId}/codegen',
      map: { type: 'codegen.generateConnector', groupId: '$req.params.sessionId', input: '$req.body' },
      respond: '$preset.started',
    },
    {
      op: 'get',
      method: 'GET',
      path: '/codegen/{sessionId}/codegen',
      jobId: '$req.query.jobId',
      latestOf: { groupId: '$req.params.sessionId', type: 'codegen.generateConnector' },
      respond: '$preset.jobStatus',
    },
    {
      op: 'list',
      method: 'GET',
      path: '/session/{sessionId}/jobs',
      groupId: '$req.params.sessionId',
      item: '$preset.jobStatus+jobType',
      respond: { jobs: '$items' },
    },
  ],
}

/** What `--facades` takes. */
export default [connectorGenerator]
