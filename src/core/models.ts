import type { Output } from '../contract/index.ts';
import { SpotError } from '../errors.ts';

/** #12 to #15: 501 DECISION_ENGINE_MISSING whatever was sent. */
export const withoutEngine = (): never => {
	throw new SpotError('unimplemented', 'DECISION_ENGINE_MISSING', 'this spotctl has no decision engine yet, so it takes no models', {
		hint: 'uploads come with the decision engine; until then every decision is to stay: see GET /api/admin/system-health',
	});
};

/** #16 */
export const listModelSessions = (): Output<'listModelSessions'> => ({ items: [], nextCursor: null });
