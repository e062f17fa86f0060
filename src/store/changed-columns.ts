import type { CompiledQuery } from 'kysely';
import { type Db, type Statement, statement } from './statement.ts';

/** So many sets of columns have a statement of their own; any other writes them all. */
const KEPT = 100;

/** Updates of one table, whose rows are `R`; `G` is what guards them. */
export type Updates<R extends object, G extends object> = {
	/** Writes every column. */
	readonly whole: Statement<R & G, unknown>;
	/** The update that writes what differs from the row as it was read; null: nothing does. */
	since(was: R, is: R): Statement<R & G, unknown> | null;
};

/**
 * Updates that write only the columns that changed: SQLite writes each index that an update names a column of, whether its value changed or
 * not (of a machine that registers again, nine). `build` makes the update from its assignments.
 */
export const updates = <R extends object, G extends object = R>(
	columns: ReadonlyArray<keyof R & string>,
	build: (
		db: Db,
		set: Record<string, never>,
		value: <K extends keyof (R & G) & string>(name: K) => (R & G)[K],
	) => { compile(): CompiledQuery<unknown> },
): Updates<R, G> => {
	const declare = (some: ReadonlyArray<keyof R & string>): Statement<R & G, unknown> =>
		statement<R & G>()((db, v) => build(db, Object.fromEntries(some.map((column) => [column, v(column) as never])), v));
	const whole = declare(columns);
	const known = new Map<string, Statement<R & G, unknown>>();
	return {
		whole,
		since: (was, is) => {
			const some = columns.filter((column) => was[column] !== is[column]);
			if (some.length === 0) return null;
			const key = some.join();
			const found = known.get(key) ?? (known.size < KEPT ? declare(some) : whole);
			if (found !== whole) known.set(key, found);
			return found;
		},
	};
};
