import { z } from 'zod';
import { isoOrNull, isoTime } from './fields.ts';
import { operation } from './operation.ts';

const later = {
	access: 'admin',
	method: 'POST',
	input: z.object({}),
	output: z.object({ success: z.boolean() }),
	ignoresBody: true,
} as const;

/** #12. 501 DECISION_ENGINE_MISSING until there is a decision engine; the files are read and dropped. */
export const uploadEngine = operation({
	...later,
	id: 'models.upload_engine',
	path: '/api/admin/decision-engine/upload',
	summary: 'Upload files of the decision engine (comes with the engine: 501 until then)',
});

/** #13, as #12. */
export const uploadModel = operation({
	...later,
	id: 'models.upload',
	path: '/api/admin/ml-models/upload',
	summary: 'Upload a model (comes with the decision engine: 501 until then)',
});

/** #14, as #12. */
export const activateModel = operation({
	...later,
	id: 'models.activate',
	path: '/api/admin/ml-models/activate',
	summary: 'Make a model live (comes with the decision engine: 501 until then)',
});

/** #15, as #12. */
export const fallbackModel = operation({
	...later,
	id: 'models.fallback',
	path: '/api/admin/ml-models/fallback',
	summary: 'Return to the model before (comes with the decision engine: 501 until then)',
});

/** #16. Empty: no model was ever taken. */
export const listModelSessions = operation({
	id: 'models.sessions',
	method: 'GET',
	path: '/api/admin/ml-models/sessions',
	access: 'read',
	summary: 'Uploaded models, newest first',
	input: z.object({}),
	output: z.object({
		id: z.string(),
		status: z.enum(['uploaded', 'active', 'archived']),
		isLive: z.boolean(),
		isFallback: z.boolean(),
		fileCount: z.number().int(),
		files: z.array(z.string()),
		totalSize: z.number().int(),
		createdAt: isoTime,
		activatedAt: isoOrNull,
	}),
	rendering: 'list',
	legacyBare: true,
});
