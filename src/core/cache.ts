/** A bounded map: when it is full the oldest entry goes first. */
export type Cache<V> = {
	get(key: string): V | undefined;
	/** Remembers `value` unless its group was forgotten since `since` (a reading of {@link Cache.moment}). */
	put(key: string, group: string, value: V, since: number): void;
	/** Forgets every key of a group, and whatever a reader that has already begun is about to put there. */
	forget(group: string): void;
	forgetAll(): void;
	moment(): number;
	readonly size: number;
	keysOf(group: string): readonly string[];
};

/** A cache whose entries belong to groups (the hosts of an agent) and which a slow reader cannot fill with the past. */
export const createCache = <V>(limit: number): Cache<V> => {
	const entries = new Map<string, { group: string; value: V }>();
	const groups = new Map<string, Set<string>>();
	const forgotten = new Map<string, number>();
	let clock = 0;
	let forgottenAll = 0;

	const drop = (key: string): void => {
		const entry = entries.get(key);
		if (entry === undefined) return;
		entries.delete(key);
		const members = groups.get(entry.group);
		members?.delete(key);
		if (members?.size === 0) groups.delete(entry.group);
	};

	return {
		get: (key) => entries.get(key)?.value,
		put: (key, group, value, since) => {
			if (since < forgottenAll || since < (forgotten.get(group) ?? 0)) return;
			drop(key);
			entries.set(key, { group, value });
			const members = groups.get(group);
			if (members === undefined) groups.set(group, new Set([key]));
			else members.add(key);
			if (entries.size > limit) drop(entries.keys().next().value ?? '');
		},
		forget: (group) => {
			forgotten.set(group, ++clock);
			// A reader older than the last thousand changes is treated as older than all of them.
			if (forgotten.size > 1000) {
				forgottenAll = clock - 1;
				forgotten.clear();
				forgotten.set(group, clock);
			}
			for (const key of [...(groups.get(group) ?? [])]) drop(key);
		},
		forgetAll: () => {
			forgottenAll = ++clock;
			forgotten.clear();
			entries.clear();
			groups.clear();
		},
		moment: () => clock,
		get size() {
			return entries.size;
		},
		keysOf: (group) => [...(groups.get(group) ?? [])],
	};
};
