import type { Clock } from '../deps.ts';
import { SpotError } from '../errors.ts';
import type { Store } from '../store/open.ts';
import { adminTokenByHash, clientTokenByHash, touchTokens } from '../store/tokens.ts';
import { createCache } from './cache.ts';
import type { Principal } from './caller.ts';
import type { Feed } from './feed.ts';
import { hashToken, sameHash } from './secrets.ts';

const LIMIT = 50_000;
const TOUCH_MS = 60_000;
/** Longer than any token of ours, or of the original. */
const LONGEST = 512;

type Known = { readonly principal: Principal; readonly expiresAt: number; touchedAt: number };

export type Auth = {
	/** Errors: 401 INVALID_TOKEN, 403 INACTIVE_CLIENT, 503 when the database cannot say. */
	authenticate(token: string): Principal | Promise<Principal>;
	/** Writes last-used times; bounded, called with the other coalesced writes. */
	flush(): Promise<void>;
};

const invalid = (): SpotError =>
	new SpotError('unauthenticated', 'INVALID_TOKEN', 'Invalid client token', { hint: 'tokens are listed by: spotctl tokens list CLIENT' });

export const createAuth = (store: Store, clock: Clock, feed: Feed, adminToken: string | null): Auth => {
	const cache = createCache<Known>(LIMIT);
	const staticHash = adminToken === null ? null : hashToken(adminToken);
	const touched = new Map<string, { table: 'client_token' | 'admin_token'; at: number }>();

	feed.onChange((topic, key) => {
		if (topic === null) cache.forgetAll();
		else if (topic === 'token' || topic === 'client') cache.forget(key);
	});

	const use = (known: Known): Principal => {
		const now = clock.now();
		if (known.expiresAt <= now) throw invalid();
		const { principal } = known;
		if (now - known.touchedAt >= TOUCH_MS && principal.kind !== 'local' && principal.tokenId !== null && touched.size < LIMIT) {
			known.touchedAt = now;
			touched.set(principal.tokenId, { table: principal.kind === 'client' ? 'client_token' : 'admin_token', at: now });
		}
		return principal;
	};

	const load = async (hash: string): Promise<Principal> => {
		if (!feed.fresh()) await feed.refresh();
		const since = cache.moment();
		const row = await clientTokenByHash.first(store.read, { hash });
		if (row !== undefined) {
			if (row.revoked_at !== null) throw invalid();
			if (row.status !== 'active')
				throw new SpotError('forbidden', 'INACTIVE_CLIENT', 'Client account is not active', {
					hint: 'ask an operator: spotctl clients set CLIENT --status active',
				});
			const known: Known = {
				principal: { kind: 'client', clientId: row.client_id, tokenId: row.id, name: row.client_name },
				expiresAt: row.expires_at ?? Number.POSITIVE_INFINITY,
				touchedAt: Number.NEGATIVE_INFINITY,
			};
			cache.put(hash, row.client_id, known, since);
			return use(known);
		}
		const admin = await adminTokenByHash.first(store.read, { hash });
		if (admin === undefined || admin.revoked_at !== null) throw invalid();
		const known: Known = {
			principal: { kind: 'admin', scope: admin.scope, tokenId: admin.id, name: admin.name },
			expiresAt: admin.expires_at ?? Number.POSITIVE_INFINITY,
			touchedAt: Number.NEGATIVE_INFINITY,
		};
		cache.put(hash, hash, known, since);
		return use(known);
	};

	return {
		authenticate: (token) => {
			if (token.length > LONGEST) throw invalid();
			const hash = hashToken(token);
			if (staticHash !== null && sameHash(hash, staticHash)) return { kind: 'admin', scope: 'admin', tokenId: null, name: 'configured' };
			const known = cache.get(hash);
			return known !== undefined && feed.fresh() ? use(known) : load(hash);
		},
		flush: async () => {
			if (touched.size === 0) return;
			const rows = [...touched];
			touched.clear();
			await store.transact(async (tx) => {
				for (const [id, { table, at }] of rows) await touchTokens(tx, table, id, at);
			});
		},
	};
};
