import type { Operation } from '../src/contract/operation.ts';
import type { Principal } from '../src/core/caller.ts';

/** Who reads without a token while `server.openDashboard` is on. */
export const OPEN_DASHBOARD: Principal = { kind: 'admin', scope: 'read', tokenId: null, name: 'open-dashboard' };

/** What the old dashboard reads beside the 14 operations that have a bare form (contract/clients.md section 4). */
export const DASHBOARD_READS: ReadonlySet<string> = new Set([
	'stats.show',
	'system.status',
	'agents.list',
	'instances.list',
	'instances.pricing',
	'instances.options',
]);

/** Whether open-dashboard mode answers this operation to somebody without a token: only what that page shows, nothing that changes anything. */
export const isOpen = ({ id, method, legacyBare, access }: Operation): boolean =>
	method === 'GET' && (access === 'read' || access === 'client') && (legacyBare || DASHBOARD_READS.has(id));
