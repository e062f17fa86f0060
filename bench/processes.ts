import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

const TICK_MS = 1000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Processor time a process has used so far, user and system, in milliseconds. */
export const cpuMs = (pid: number): number => {
	const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
	// The name in parentheses may hold spaces; utime and stime are the 12th and 13th field behind it.
	const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
	return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
};

/** Memory of a process that is in RAM, in MB of a million bytes. */
export const memoryMb = (pid: number): number => {
	const [, kib = '0'] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
	return (Number(kib) * 1024) / 1e6;
};

/** The machine in one line. */
export const machine = (): string => {
	const all = cpus();
	return `${all.length} cores (${all[0]?.model.trim() ?? 'unknown'}), Node ${process.version.slice(1)}`;
};
