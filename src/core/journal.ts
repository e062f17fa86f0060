import type { EventType } from '../contract/event-log.ts';
import type { Clock, Ids } from '../deps.ts';
import { maskTokens } from '../mask.ts';
import type { Host } from '../store/hosts.ts';
import { type NewAudit, type NewChange, type NewEvent, type NewNotification, type Written, writeJournal } from '../store/journal.ts';
import type { NewFact } from '../store/ledger.ts';
import type { ChangeLogTable, Severity } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { actorOf, type Caller } from './caller.ts';
import type { CounterName, Counters, HistogramName, HistogramType } from './counters.ts';

type About = { readonly clientId: string; readonly agentId?: string | null; readonly instanceId?: string | null };

/**
 * The type of the event that each notification is told with, in the same insert, so that whoever follows the event log hears of it. What it
 * is about has an event of its own: lists of what happened leave it out.
 */
export const NOTIFICATION = 'notification';

/** Topics of the change log: what a cache may hold. */
export type Topic = ChangeLogTable['topic'];

/**
 * What a transaction says about itself; written in the same transaction, told to the caches after its commit. Messages quote what was sent:
 * tokens in them are masked.
 */
export type Journal = {
	event(
		type: EventType,
		message: string,
		about: About | null,
		options?: { severity?: Severity; metadata?: Readonly<Record<string, unknown>> },
	): void;
	notify(type: string, title: string, message: string, about: About, severity?: Severity): void;
	audit(action: string, entity: string, entityId: string, clientId: string | null, before: unknown, after: unknown): void;
	/**
	 * Enters into the books what a machine is from `at` (now) on, or that it is silent, calls again or is taken back (src/store/tables/ledger.ts). With every
	 * change of role, mode, pool or agent; a primary whose agent is deleted is nobody's any more. `overlapUntil`: until when an old primary is
	 * planned to run beside the new one; 0: nothing is planned any more.
	 */
	book(
		host: Host,
		options?: { at?: number; kind?: 'state' | 'silent' | 'heard' | 'reclaimed'; deleted?: boolean; overlapUntil?: number | null },
	): void;
	/** Whatever caches hold about this key is out of date. */
	changed(topic: Topic, key: string): void;
	/** Adds to a counter of /metrics, after the commit. */
	count(name: CounterName, by?: number): void;
	/** Adds one to a counter if the transaction is lost for good. */
	countIfLost(name: CounterName): void;
	/** Adds to a distribution of /metrics, after the commit: a duration, or the time since an instant by then. */
	observe<N extends HistogramName>(name: N, type: HistogramType<N>, took: { readonly seconds: number } | { readonly since: number }): void;
	readonly changes: readonly NewChange[];
	/** Tells the counters what is true after the commit, or after the transaction was lost. */
	report(counters: Counters, how: 'committed' | 'lost'): void;
	/** What it has to say, in the order in which it was said. */
	readonly written: Omit<Written, 'anyWebhook'>;
};

/** Opens the journal of one transaction. */
export const openJournal = (clock: Clock, ids: Ids, origin: string, caller: Pick<Caller, 'requestId' | 'principal'> | null): Journal => {
	const events: NewEvent[] = [];
	const notifications: NewNotification[] = [];
	const audits: NewAudit[] = [];
	const changes: NewChange[] = [];
	const facts = new Map<string, NewFact>();
	const counted = new Map<CounterName, number>();
	const lost = new Set<CounterName>();
	const observations: ((counters: Counters) => void)[] = [];
	const requestId = caller?.requestId ?? null;
	const json = (value: unknown): string | null => (value === null || value === undefined ? null : maskTokens(JSON.stringify(value)));
	return {
		event: (type, message, about, options = {}) => {
			events.push({
				type,
				severity: options.severity ?? 'info',
				client_id: about?.clientId ?? null,
				agent_id: about?.agentId ?? null,
				instance_id: about?.instanceId ?? null,
				message: maskTokens(message),
				metadata: json(options.metadata),
				request_id: requestId,
				created_at: clock.now(),
			});
		},
		notify: (type, title, message, about, severity = 'info') => {
			events.push({
				type: NOTIFICATION,
				severity,
				client_id: about.clientId,
				agent_id: about.agentId ?? null,
				instance_id: about.instanceId ?? null,
				message: maskTokens(message),
				metadata: json({ notification_type: type, title }),
				request_id: requestId,
				created_at: clock.now(),
			});
			notifications.push({
				id: ids.uuid(),
				client_id: about.clientId,
				agent_id: about.agentId ?? null,
				type,
				title,
				message: maskTokens(message),
				severity,
				created_at: clock.now(),
			});
		},
		audit: (action, entity, entityId, clientId, before, after) => {
			audits.push({
				at: clock.now(),
				actor: caller === null ? 'spotctl' : actorOf(caller as Caller),
				action,
				entity,
				entity_id: entityId,
				client_id: clientId,
				before_json: json(before),
				after_json: json(after),
				request_id: requestId,
			});
		},
		book: (host, { at = clock.now(), kind = 'state', deleted = false, overlapUntil = null } = {}) => {
			const { client_id, agent_id, handle, instance_id, mode, pool_id, instance_type, region } = host;
			// Of what is said of a machine's state in one transaction, the last counts.
			facts.set(`${handle} ${kind}`, {
				client_id,
				agent_id,
				handle,
				at,
				kind,
				instance_id,
				mode,
				pool_id,
				instance_type,
				region,
				role: deleted && host.role === 'primary' ? 'left' : host.role,
				registered: host.registered_at === null ? 0 : 1,
				spot_micros: null,
				ondemand_micros: null,
				overlap_until: overlapUntil ?? (host.role === 'zombie' ? (facts.get(`${handle} ${kind}`)?.overlap_until ?? null) : null),
				pending: 1,
			});
		},
		changed: (topic, key) => {
			if (!changes.some((change) => change.topic === topic && change.key === key)) changes.push({ origin, topic, key, at: clock.now() });
		},
		count: (name, by = 1) => {
			counted.set(name, (counted.get(name) ?? 0) + by);
		},
		countIfLost: (name) => {
			lost.add(name);
		},
		observe: (name, type, took) => {
			observations.push((counters) => counters.observe(name, type, 'seconds' in took ? took.seconds : (clock.now() - took.since) / 1000));
		},
		report: (counters, how) => {
			if (how === 'lost') for (const name of lost) counters.add(name, 1);
			else {
				for (const [name, by] of counted) counters.add(name, by);
				for (const observation of observations) observation(counters);
			}
		},
		changes,
		written: { events, notifications, audits, changes, facts },
	};
};

/** Writes journals at the end of their transaction; `anyWebhook`: whether one may want what they tell. */
export const writeJournals = (tx: Db, journals: readonly Journal[], anyWebhook = true): Promise<void> =>
	writeJournal(tx, {
		anyWebhook,
		events: journals.flatMap(({ written }) => written.events),
		notifications: journals.flatMap(({ written }) => written.notifications),
		audits: journals.flatMap(({ written }) => written.audits),
		changes: journals.flatMap(({ written }) => written.changes),
		facts: new Map(journals.flatMap(({ written }, index) => [...written.facts].map(([key, fact]) => [`${index} ${key}`, fact]))),
	});
