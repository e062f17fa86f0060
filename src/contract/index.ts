import * as agentDashboard from './agent-dashboard.ts';
import * as agents from './agents.ts';
import * as bulk from './bulk.ts';
import * as clients from './clients.ts';
import * as commands from './commands.ts';
import * as emergencies from './emergencies.ts';
import * as hosts from './hosts.ts';
import * as instances from './instances.ts';
import * as jobs from './jobs.ts';
import type { Accepted, Given, Operation, Payload } from './operation.ts';
import * as poolAnalytics from './pool-analytics.ts';
import * as priceAlerts from './price-alerts.ts';
import * as priceHistory from './price-history.ts';
import * as prices from './prices.ts';
import * as replicas from './replicas.ts';
import * as retention from './retention.ts';
import * as savings from './savings.ts';
import * as system from './system.ts';
import * as tokens from './tokens.ts';

const isOperation = (value: unknown): value is Operation =>
	typeof value === 'object' && value !== null && 'path' in value && 'access' in value;

type OnlyOperations<M> = { [K in keyof M as M[K] extends { readonly path: string; readonly access: string } ? K : never]: M[K] };

const only = <M extends object>(module: M): OnlyOperations<M> =>
	Object.fromEntries(Object.entries(module).filter(([, value]) => isOperation(value))) as OnlyOperations<M>;

/** Every operation of the product by the name its handler and its client method carry. */
export const operations = {
	...only(clients),
	...only(tokens),
	...only(hosts),
	...only(agents),
	...only(instances),
	...only(commands),
	...only(prices),
	...only(priceHistory),
	...only(poolAnalytics),
	...only(priceAlerts),
	...only(agentDashboard),
	...only(bulk),
	...only(replicas),
	...only(emergencies),
	...only(jobs),
	...only(retention),
	...only(savings),
	...only(system),
} as const;

export type Operations = typeof operations;
export type Name = keyof Operations;

/** What a caller passes to operation `N`. */
export type Input<N extends Name> = Given<Operations[N]>;
/** What the handler of `N` receives. */
export type Valid<N extends Name> = Accepted<Operations[N]>;
/** What `N` answers. */
export type Output<N extends Name> = Payload<Operations[N]>;

/** The product as functions: over HTTP or in process, the same calls. Errors are SpotErrors. */
export type Api = { readonly [N in Name]: (input: Input<N>, signal?: AbortSignal) => Promise<Output<N>> };

export { iso, isoOr, parseInstant } from './instant.ts';
export type { Access, Operation, Page } from './operation.ts';
