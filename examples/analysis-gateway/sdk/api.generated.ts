// Made by sdk/generate.mjs from /openapi.json of the gateway. Not written by hand.
export interface paths {
    "/api/v1/analysis": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List analyses
         * @description Give `nextCursor` of one answer as `cursor` of the next request.
         *
         *     Newest first, without results. Page by page.
         *
         *     Needs the scope `jobs:read` or `jobs:submit`.
         */
        get: operations["analysisListApiV1Analysis"];
        put?: never;
        /**
         * Ask for an analysis
         * @description Answers as soon as the request is checked and stored. The status is at `statusUrl`.
         *
         *     A job of type `analysis`, stored durably before this is answered. The input is judged by its type: GET /v1/job-types.
         *
         *     Needs the scope `jobs:submit`.
         */
        post: operations["analysisSubmitApiV1Analysis"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/analysis/status/{jobId}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Ask how an analysis stands
         * @description Ask again after `Retry-After` seconds; an answer without that header is final.
         *
         *     How the job stands.
         *
         *     Needs the scope `jobs:read` or `jobs:submit`.
         */
        get: operations["analysisGetApiV1AnalysisStatusByJobId"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/analysis/result/{jobId}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Fetch the result of an analysis
         * @description The bare result. Without one, 409 says why there is none.
         *
         *     What the job returned.
         *
         *     Needs the scope `jobs:read` or `jobs:submit`.
         */
        get: operations["analysisResultApiV1AnalysisResultByJobId"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/analysis/cancel/{jobId}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel an analysis
         * @description At once if it is not running; else the worker is asked to stop, and the job may still complete.
         *
         *     Needs the scope `jobs:operate` or `jobs:submit`.
         */
        post: operations["analysisCancelApiV1AnalysisCancelByJobId"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description An error after RFC 9457. */
        Problem: {
            /** @description urn:untildone:problem:<code> */
            type: string;
            title: string;
            status: number;
            detail: string;
            /** @description urn:untildone:request:<Request-Id> */
            instance: string;
            /** @description Slug to decide by. */
            code: string;
            /** @description True when the same request may work later: the only switch a client needs. */
            retryable: boolean;
            retryAfterMs: number | null;
            /** @description What to do. */
            fix: string;
            docs: string;
            /** @description Members that are wrong, by JSON Pointer into the body. */
            errors: {
                pointer: string;
                code: string;
                message: string;
            }[];
            params: {
                [key: string]: unknown;
            };
        };
    };
    responses: {
        /**
         * @description `idempotency-key-invalid`: The Idempotency-Key is not valid.
         *
         *     `idempotency-key-required`: This job type needs an Idempotency-Key.
         *
         *     `malformed-request`: The request could not be read.
         */
        "idempotency-key-invalid.idempotency-key-required.malformed-request": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `unauthenticated`: A valid API key is needed. */
        unauthenticated: {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `forbidden`: This key may not do that.
         *
         *     `host-not-allowed`: This Host or Origin is not allowed.
         */
        "forbidden.host-not-allowed": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `file-not-found`: There is no such file. */
        "file-not-found": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `duplicate-operation`: A job for this operation is there already.
         *
         *     `idempotency-key-in-use`: The first request with this key is still being stored.
         */
        "duplicate-operation.idempotency-key-in-use": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `job-expired`: This job existed and has been removed: its retention has ended, or an operator has pruned. */
        "job-expired": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `payload-too-large`: The request is too large. */
        "payload-too-large": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `unsupported-media-type`: The content type is not supported. */
        "unsupported-media-type": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `idempotency-key-reused`: This idempotency key was used for a different request. Nothing was done.
         *
         *     `input-invalid`: The input does not fit the job type. Nothing was stored.
         *
         *     `unknown-job-type`: There is no job type of this name. Nothing was stored.
         *
         *     `validation-failed`: The request has fields that are wrong or unknown.
         */
        "idempotency-key-reused.input-invalid.unknown-job-type.validation-failed": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `quota-exceeded`: The quota is used up.
         *
         *     `rate-limited`: Too many requests.
         */
        "quota-exceeded.rate-limited": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `internal`: The server made a mistake. */
        internal: {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `draining`: The server is shutting down.
         *
         *     `outcome-unknown`: The answer of the store was lost, so the request may or may not be stored.
         *
         *     `overloaded`: The server has too much to do.
         *
         *     `store-unavailable`: The store cannot be used right now. Nothing was stored.
         */
        "draining.outcome-unknown.overloaded.store-unavailable": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `invalid-cursor`: This cursor cannot be used here.
         *
         *     `malformed-request`: The request could not be read.
         */
        "invalid-cursor.malformed-request": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description `draining`: The server is shutting down.
         *
         *     `store-unavailable`: The store cannot be used right now. Nothing was stored.
         */
        "draining.store-unavailable": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `malformed-request`: The request could not be read. */
        "malformed-request": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description `validation-failed`: The request has fields that are wrong or unknown. */
        "validation-failed": {
            headers: {
                "Request-Id": components["headers"]["RequestId"];
                "Untildone-Version": components["headers"]["UntildoneVersion"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: {
        /**
         * @description 1 to 255 visible ASCII characters, bare or quoted. The same key with the same body is the same request, however often it is sent; with another body it is 422.
         * @example 8e03978e-40d5-43e8-bc93-6894a57f9324
         */
        IdempotencyKey: string;
        /**
         * @description W3C trace context, kept with the job.
         * @example 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
         */
        traceparent: string;
        /**
         * @description The ETag you have: 304 when nothing changed.
         * @example "17"
         */
        IfNoneMatch: string;
    };
    requestBodies: never;
    headers: {
        /**
         * @description Quote it when you ask for help. Yours, if you sent one.
         * @example req_4f1c7ad09b1
         */
        RequestId: string;
        /**
         * @description Version of the server.
         * @example 1.0.0
         */
        UntildoneVersion: string;
        /**
         * @description Where the new thing is.
         * @example /v1/jobs/019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10
         */
        Location: string;
        /**
         * @description Ask again after so many seconds.
         * @example 4
         */
        RetryAfter: string;
        /**
         * @description `true`: the key was used before; this is that job, as it is now.
         * @example true
         */
        IdempotentReplayed: string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    analysisListApiV1Analysis: {
        parameters: {
            query?: {
                /** @description `cursor`, as older clients send it. */
                cursor?: string;
                /** @description `limit`, as older clients send it. */
                limit?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The jobs. */
            200: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        analyses: {
                            /**
                             * Format: uuid
                             * @description UUIDv7, lower case.
                             */
                            jobId: string;
                            /** @enum {unknown} */
                            status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
                            /**
                             * Format: date-time
                             * @description The instant from which it was durable.
                             */
                            createdAt: string;
                            /** Format: date-time */
                            finishedAt?: string;
                        }[];
                        nextCursor?: string;
                    };
                };
            };
            400: components["responses"]["invalid-cursor.malformed-request"];
            401: components["responses"]["unauthenticated"];
            403: components["responses"]["forbidden.host-not-allowed"];
            500: components["responses"]["internal"];
            503: components["responses"]["draining.store-unavailable"];
        };
    };
    analysisSubmitApiV1Analysis: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description 1 to 255 visible ASCII characters, bare or quoted. The same key with the same body is the same request, however often it is sent; with another body it is 422.
                 * @example 8e03978e-40d5-43e8-bc93-6894a57f9324
                 */
                "Idempotency-Key"?: components["parameters"]["IdempotencyKey"];
                /**
                 * @description W3C trace context, kept with the job.
                 * @example 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
                 */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** @description One text, at most 200000 characters, in a request of at most 262144 bytes. */
                    text?: string;
                    /** @description Several texts with names, at most 50, in a request of at most 262144 bytes. */
                    documents?: {
                        name: string;
                        text: string;
                    }[];
                    /**
                     * Format: untildone-file
                     * @description Id of a text file from POST /v1/files, at most 2097152 bytes.
                     */
                    file?: string;
                    /**
                     * @description What to find out. `summary` needs a gateway with a language model.
                     * @default [
                     *       "statistics",
                     *       "extraction",
                     *       "classification"
                     *     ]
                     */
                    analyses?: ("statistics" | "extraction" | "classification" | "summary")[];
                    /**
                     * @description Terms, pairs and triples of the statistics, at most.
                     * @default 10
                     */
                    topTerms?: number;
                };
            };
        };
        responses: {
            /** @description Stored durably. */
            202: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    Location: components["headers"]["Location"];
                    "Retry-After": components["headers"]["RetryAfter"];
                    "Idempotent-Replayed": components["headers"]["IdempotentReplayed"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * Format: uuid
                         * @description UUIDv7, lower case.
                         */
                        jobId: string;
                        /** @enum {unknown} */
                        status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
                        statusUrl: string;
                    };
                };
            };
            400: components["responses"]["idempotency-key-invalid.idempotency-key-required.malformed-request"];
            401: components["responses"]["unauthenticated"];
            403: components["responses"]["forbidden.host-not-allowed"];
            404: components["responses"]["file-not-found"];
            409: components["responses"]["duplicate-operation.idempotency-key-in-use"];
            410: components["responses"]["job-expired"];
            413: components["responses"]["payload-too-large"];
            415: components["responses"]["unsupported-media-type"];
            422: components["responses"]["idempotency-key-reused.input-invalid.unknown-job-type.validation-failed"];
            429: components["responses"]["quota-exceeded.rate-limited"];
            500: components["responses"]["internal"];
            503: components["responses"]["draining.outcome-unknown.overloaded.store-unavailable"];
        };
    };
    analysisGetApiV1AnalysisStatusByJobId: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the job.
                 * @example 019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10
                 */
                jobId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job. */
            200: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    "Retry-After": components["headers"]["RetryAfter"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * Format: uuid
                         * @description UUIDv7, lower case.
                         */
                        jobId: string;
                        /** @enum {unknown} */
                        status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
                        /** @description One sentence for people; safe to show. */
                        text: string;
                        /**
                         * Format: date-time
                         * @description The instant from which it was durable.
                         */
                        createdAt: string;
                        /** Format: date-time */
                        startedAt?: string;
                        /** Format: date-time */
                        finishedAt?: string;
                        progress?: {
                            stage?: string;
                            message?: string;
                            documentsDone?: number;
                            documents?: number;
                        };
                        warnings: {
                            code: string;
                            message: string;
                            step: string | null;
                            /** Format: date-time */
                            at: string;
                        }[];
                        errors?: string[];
                    };
                };
            };
            400: components["responses"]["malformed-request"];
            401: components["responses"]["unauthenticated"];
            403: components["responses"]["forbidden.host-not-allowed"];
            /** @description There is no such job. */
            404: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-not-found";
                        /** @constant */
                        title: "There is no such analysis.";
                        /** @constant */
                        status: 404;
                        /** @constant */
                        code: "analysis-not-found";
                        /** @constant */
                        retryable: false;
                        /** @constant */
                        fix: "Check the jobId. GET /api/v1/analysis lists those that you can see.";
                        jobId?: string;
                    };
                };
            };
            /** @description It was removed when its retention ended. */
            410: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-expired";
                        /** @constant */
                        title: "The analysis was removed when the time to keep it was over.";
                        /** @constant */
                        status: 410;
                        /** @constant */
                        code: "analysis-expired";
                        /** @constant */
                        retryable: false;
                        /** @constant */
                        fix: "Ask for it again: POST /api/v1/analysis";
                        jobId?: string;
                    };
                };
            };
            500: components["responses"]["internal"];
            503: components["responses"]["draining.store-unavailable"];
        };
    };
    analysisResultApiV1AnalysisResultByJobId: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The ETag you have: 304 when nothing changed.
                 * @example "17"
                 */
                "If-None-Match"?: components["parameters"]["IfNoneMatch"];
            };
            path: {
                /**
                 * @description Id of the job.
                 * @example 019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10
                 */
                jobId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The result. */
            200: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        documents: {
                            name: string;
                            language: {
                                /** @description ISO 639-1. */
                                code: string | null;
                                score: number;
                            };
                            statistics?: {
                                characters: number;
                                words: number;
                                differentWords: number;
                                sentences: number;
                                paragraphs: number;
                                /** @description Above 100 the text has no ends of sentences that can be seen. */
                                wordsPerSentence: number;
                                /** @description Different words by words. */
                                variety: number;
                                /** @description All null above 100 words per sentence. */
                                readability: {
                                    /** @description Flesch: 100 very easy, 0 very hard. English only. */
                                    readingEase: number | null;
                                    /** @description Flesch and Kincaid. English only. */
                                    schoolYears: number | null;
                                    /** @description Below 40 easy, above 60 hard. */
                                    lix: number | null;
                                };
                                terms: {
                                    text: string;
                                    count: number;
                                }[];
                                /** @description Two words that stand side by side more than once. */
                                pairs: {
                                    text: string;
                                    count: number;
                                }[];
                                triples: {
                                    text: string;
                                    count: number;
                                }[];
                            };
                            extraction?: {
                                /** @description In the order of the text; the first 500. */
                                entities: {
                                    /** @enum {string} */
                                    kind: "url" | "email" | "iban" | "date" | "amount" | "percentage" | "organisation" | "person";
                                    /** @description As it stands in the text. */
                                    text: string;
                                    /** @description Where it begins, in UTF-16 units. */
                                    at: number;
                                    /** @description In one form; null when it can be read in two ways. */
                                    value: string | null;
                                }[];
                                /** @description Of all, shown or not. */
                                counts: {
                                    url?: number;
                                    email?: number;
                                    iban?: number;
                                    date?: number;
                                    amount?: number;
                                    percentage?: number;
                                    organisation?: number;
                                    person?: number;
                                };
                            };
                            classification?: {
                                /** @description Null when the text has too little in common with the corpus. */
                                label: ("invoice" | "contract" | "complaint" | "news" | "manual") | null;
                                /** @description Orders the kinds; no probability. */
                                score: number;
                                alternatives: {
                                    /** @enum {string} */
                                    label: "invoice" | "contract" | "complaint" | "news" | "manual";
                                    score: number;
                                }[];
                                /** @description The words that decided. */
                                because: string[];
                                /** @description Its version: what it had learned from. */
                                classifier: string;
                            };
                            /** @description Null when the model gave none that could be used. */
                            summary?: {
                                text: string;
                                /** @description The language model. */
                                model: string;
                            } | null;
                        }[];
                    };
                };
            };
            400: components["responses"]["malformed-request"];
            401: components["responses"]["unauthenticated"];
            403: components["responses"]["forbidden.host-not-allowed"];
            /** @description There is no such job. */
            404: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-not-found";
                        /** @constant */
                        title: "There is no such analysis.";
                        /** @constant */
                        status: 404;
                        /** @constant */
                        code: "analysis-not-found";
                        /** @constant */
                        retryable: false;
                        /** @constant */
                        fix: "Check the jobId. GET /api/v1/analysis lists those that you can see.";
                        jobId?: string;
                    };
                };
            };
            /** @description Not done yet. Or: It failed. Or: It was cancelled. */
            409: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    "Retry-After": components["headers"]["RetryAfter"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-not-finished";
                        /** @constant */
                        title: "The analysis is not finished yet, so there is no result.";
                        /** @constant */
                        status: 409;
                        /** @constant */
                        code: "analysis-not-finished";
                        /** @constant */
                        retryable: true;
                        /** @constant */
                        fix: "Ask for the status until it is completed; Retry-After says when to ask again.";
                        /**
                         * Format: uuid
                         * @description UUIDv7, lower case.
                         */
                        jobId: string;
                        /** @enum {unknown} */
                        analysis: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
                    } | {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-failed";
                        /** @constant */
                        title: "The analysis failed, so there is no result.";
                        /** @constant */
                        status: 409;
                        /** @constant */
                        code: "analysis-failed";
                        /** @constant */
                        retryable: false;
                        /** @constant */
                        fix: "Read errors, correct the request and send it again with another Idempotency-Key.";
                        /**
                         * Format: uuid
                         * @description UUIDv7, lower case.
                         */
                        jobId: string;
                        /** @enum {unknown} */
                        analysis: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
                        errors?: string[];
                    } | {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-cancelled";
                        /** @constant */
                        title: "The analysis was cancelled, so there is no result.";
                        /** @constant */
                        status: 409;
                        /** @constant */
                        code: "analysis-cancelled";
                        /** @constant */
                        retryable: false;
                        /** @constant */
                        fix: "Send the request again with another Idempotency-Key if it should run after all.";
                        /**
                         * Format: uuid
                         * @description UUIDv7, lower case.
                         */
                        jobId: string;
                        /** @enum {unknown} */
                        analysis: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
                    };
                };
            };
            /**
             * @description It was removed when its retention ended.
             *
             *     `result-expired`: The result was removed when its retention ended.
             */
            410: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-expired";
                        /** @constant */
                        title: "The analysis was removed when the time to keep it was over.";
                        /** @constant */
                        status: 410;
                        /** @constant */
                        code: "analysis-expired";
                        /** @constant */
                        retryable: false;
                        /** @constant */
                        fix: "Ask for it again: POST /api/v1/analysis";
                        jobId?: string;
                    } | components["schemas"]["Problem"];
                };
            };
            500: components["responses"]["internal"];
            503: components["responses"]["draining.store-unavailable"];
        };
    };
    analysisCancelApiV1AnalysisCancelByJobId: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description 1 to 255 visible ASCII characters, bare or quoted. The same key with the same body is the same request, however often it is sent; with another body it is 422.
                 * @example 8e03978e-40d5-43e8-bc93-6894a57f9324
                 */
                "Idempotency-Key"?: components["parameters"]["IdempotencyKey"];
            };
            path: {
                /**
                 * @description Id of the job.
                 * @example 019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10
                 */
                jobId: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    reason?: unknown;
                };
            };
        };
        responses: {
            /** @description It is cancelled. */
            200: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    "Retry-After": components["headers"]["RetryAfter"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * Format: uuid
                         * @description UUIDv7, lower case.
                         */
                        jobId: string;
                        /** @enum {unknown} */
                        status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
                    };
                };
            };
            /** @description It is being stopped. */
            202: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    "Retry-After": components["headers"]["RetryAfter"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * Format: uuid
                         * @description UUIDv7, lower case.
                         */
                        jobId: string;
                        /** @enum {unknown} */
                        status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
                    };
                };
            };
            400: components["responses"]["malformed-request"];
            401: components["responses"]["unauthenticated"];
            403: components["responses"]["forbidden.host-not-allowed"];
            /** @description There is no such job. */
            404: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-not-found";
                        /** @constant */
                        title: "There is no such analysis.";
                        /** @constant */
                        status: 404;
                        /** @constant */
                        code: "analysis-not-found";
                        /** @constant */
                        retryable: false;
                        /** @constant */
                        fix: "Check the jobId. GET /api/v1/analysis lists those that you can see.";
                        jobId?: string;
                    };
                };
            };
            /** @description It had ended before. */
            409: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-already-ended";
                        /** @constant */
                        title: "The analysis has ended; there is nothing to cancel.";
                        /** @constant */
                        status: 409;
                        /** @constant */
                        code: "analysis-already-ended";
                        /** @constant */
                        retryable: false;
                        /** @constant */
                        fix: "Read its end: GET /api/v1/analysis/status/{jobId}";
                        /**
                         * Format: uuid
                         * @description UUIDv7, lower case.
                         */
                        jobId: string;
                        /** @enum {unknown} */
                        analysis: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
                    };
                };
            };
            /** @description It was removed when its retention ended. */
            410: {
                headers: {
                    "Request-Id": components["headers"]["RequestId"];
                    "Untildone-Version": components["headers"]["UntildoneVersion"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": {
                        /** @constant */
                        type: "urn:analysis-gateway:problem:analysis-expired";
                        /** @constant */
                        title: "The analysis was removed when the time to keep it was over.";
                        /** @constant */
                        status: 410;
                        /** @constant */
                        code: "analysis-expired";
                        /** @constant */
                        retryable: false;
                        /** @constant */
                        fix: "Ask for it again: POST /api/v1/analysis";
                        jobId?: string;
                    };
                };
            };
            413: components["responses"]["payload-too-large"];
            415: components["responses"]["unsupported-media-type"];
            422: components["responses"]["validation-failed"];
            500: components["responses"]["internal"];
            503: components["responses"]["draining.store-unavailable"];
        };
    };
}
