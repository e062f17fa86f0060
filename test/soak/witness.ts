import type { RequestEvent } from '../../src/fleet/fleet.ts';
import type { Books, HostBook } from './books.ts';

/** A command that a host has read, whoever lost it afterwards. */
export type Handed = { readonly commandId: string; readonly instanceId: string; readonly handle: string; readonly at: number };

/** What agents were told, held against what the books say. */
export type Witness = {
	hear(event: RequestEvent): void;
	/** What was answered since the last call, to be compared with books that are read after it; what is wrong is reported once. */
	take(): (books: Books) => string[];
	/** Commands that were handed out, in order. */
	readonly handed: readonly Handed[];
	/** Handles by machine, as registration answered them. */
	readonly handles: ReadonlyMap<string, string>;
	readonly answers: { polls: number; lists: number; listed: number; configs: number };
};

type Claim = { readonly at: number; readonly told: string; readonly instanceId: string; readonly primary: boolean };

const object = (value: unknown): Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

/** The body of an answer as an object; empty when it is none. */
export const bodyOf = (event: { readonly answer: string }): Record<string, unknown> => {
	try {
		return object(JSON.parse(event.answer));
	} catch {
		return {};
	}
};

export const listOf = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.map(object) : []);

export const isAnswered = ({ status }: RequestEvent): boolean => status !== null && status >= 200 && status < 300;

/** The handle in the path of a host route. */
export const handleIn = (path: string): string => /\/api\/agents\/([^/?]+)/.exec(path)?.[1] ?? '';

/**
 * Listens to the answers of the agent routes. `now` is the time of the books (roles that changed less than `slack` before an answer are
 * not held against it: with real concurrency nobody can say which came first; 0 when one thing happens at a time).
 */
export const createWitness = (now: () => number, slack: number): Witness => {
	const handed: Handed[] = [];
	const handedIds = new Set<string>();
	const unseen: Handed[] = [];
	const handles = new Map<string, string>();
	const instances = new Map<string, string>();
	const answers = { polls: 0, lists: 0, listed: 0, configs: 0 };
	let claims: Claim[] = [];
	let found: string[] = [];

	const poll = (event: RequestEvent): void => {
		const commands = listOf(bodyOf(event)['commands']);
		answers.polls++;
		if (commands.length > 1) found.push(`${event.instanceId} was handed ${commands.length} commands at once`);
		for (const command of commands) {
			const one = { commandId: String(command['id']), instanceId: event.instanceId, handle: handleIn(event.path), at: event.at };
			if (handedIds.has(one.commandId)) {
				const first = handed.find(({ commandId }) => commandId === one.commandId);
				found.push(`command ${one.commandId} was handed to ${first?.instanceId} and again to ${one.instanceId}`);
			}
			handedIds.add(one.commandId);
			handed.push(one);
			unseen.push(one);
		}
	};

	const register = (event: RequestEvent): void => {
		const { instanceId } = event;
		const body = bodyOf(event);
		const handle = String(body['agent_id']);
		const before = handles.get(instanceId);
		if (before !== undefined && before !== handle) found.push(`${instanceId} had handle ${before} and was given ${handle}`);
		const holder = instances.get(handle);
		if (holder !== undefined && holder !== instanceId) found.push(`handle ${handle} was given to ${holder} and to ${instanceId}`);
		handles.set(instanceId, handle);
		instances.set(handle, instanceId);
		if (object(body['config'])['enabled'] === true)
			claims.push({ at: now(), told: 'was told at registration that it is enabled', instanceId, primary: true });
	};

	return {
		handed,
		handles,
		answers,
		hear: (event) => {
			if (!isAnswered(event)) return;
			if (event.route === '/api/agents/register') register(event);
			else if (event.route.endsWith('/pending-commands')) poll(event);
			else if (event.route.endsWith('/instances-to-terminate')) {
				answers.lists++;
				for (const { instance_id } of listOf(bodyOf(event)['instances'])) {
					answers.listed++;
					claims.push({
						at: now(),
						told: `was on the terminate list of ${event.instanceId}`,
						instanceId: String(instance_id),
						primary: false,
					});
				}
			} else if (event.route.endsWith('/config')) {
				answers.configs++;
				if (bodyOf(event)['enabled'] === true)
					claims.push({ at: now(), told: 'read that it is enabled', instanceId: event.instanceId, primary: true });
			}
		},
		take: () => {
			const violations = found;
			found = [];
			const waiting = claims;
			claims = [];
			const fresh = unseen.splice(0);
			return (books) => [...violations, ...unfounded(waiting, books, slack), ...unbooked(fresh, books)];
		},
	};
};

/** Answers that say of a machine what its role does not allow. */
const unfounded = (claims: readonly Claim[], books: Books, slack: number): string[] => {
	if (claims.length === 0) return [];
	const hosts = new Map<string, HostBook>(books.hosts.map((host) => [host.instance_id, host]));
	const moved = new Map(books.agents.map((agent) => [agent.id, agent.last_switch_at ?? 0]));
	return claims.flatMap(({ at, told, instanceId, primary }) => {
		const host = hosts.get(instanceId);
		if (host === undefined) return [`${instanceId} ${told} and is in no books`];
		const isSettled = (moved.get(host.agent_id) ?? 0) <= at - slack;
		return isSettled && (host.role === 'primary') !== primary ? [`${instanceId} ${told}, and it is ${host.role}`] : [];
	});
};

/** Commands that were handed out and are not claimed in the books. */
const unbooked = (handed: readonly Handed[], books: Books): string[] => {
	if (handed.length === 0) return [];
	const commands = new Map(books.commands.map((command) => [command.id, command]));
	return handed.flatMap(({ commandId, instanceId, handle }) => {
		const command = commands.get(commandId);
		if (command === undefined) return [`command ${commandId} was handed to ${instanceId} and is in no books`];
		if (command.status === 'pending' || command.claimed_at === null)
			return [`command ${commandId} was handed to ${instanceId} and is still ${command.status}`];
		return command.handle === handle ? [] : [`command ${commandId} of ${command.handle} was handed to ${handle}`];
	});
};
