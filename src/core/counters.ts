/** Counters of /metrics by name; they only grow, and only by what has happened for good. */
export type Counters = {
	add(name: string, by: number): void;
	all(): ReadonlyMap<string, number>;
};

export const createCounters = (): Counters => {
	const values = new Map<string, number>();
	return {
		add: (name, by) => {
			values.set(name, (values.get(name) ?? 0) + by);
		},
		all: () => values,
	};
};
