/** The commands. Each is loaded only when it is called, so that `openbell token` starts fast. */

import type { ListedCommand } from './command.ts'

export const commands: readonly ListedCommand[] = [
  {
    name: 'setup',
    summary: 'Walk through the first account, step by step.',
    load: () => import('./setup.ts'),
  },
  {
    name: 'status',
    summary: 'Show every account: its token, its end, who has it.',
    load: () => import('./status.ts'),
  },
  {
    name: 'login',
    summary: 'Log in to a broker; the broker asks for a person.',
    load: () => import('./login.ts'),
  },
  {
    name: 'plan',
    summary: 'Show what Openbell will do next, when and why.',
    load: () => import('./plan.ts'),
  },
  {
    name: 'doctor',
    summary: 'Look for what is wrong or will be, with the mend.',
    load: () => import('./doctor.ts'),
  },
  {
    name: 'up',
    summary: 'Run the service: keeps tokens alive and serves them.',
    load: () => import('./up.ts'),
  },
  { name: 'add', summary: 'Add an account at a broker.', load: () => import('./add.ts') },
  {
    name: 'edit',
    summary: "Change an account's label, redirect or credentials.",
    load: () => import('./edit.ts'),
  },
  { name: 'pause', summary: 'Stop keeping an account alive for a while.', load: () => import('./pause.ts') },
  { name: 'resume', summary: 'Go on keeping a paused account alive.', load: () => import('./resume.ts') },
  {
    name: 'remove',
    summary: 'Remove an account with its credentials and tokens.',
    load: () => import('./remove.ts'),
  },
  {
    name: 'import',
    summary: 'Take over a token that was obtained elsewhere.',
    load: () => import('./import.ts'),
  },
  { name: 'token', summary: "Print an account's access token, alone.", load: () => import('./token.ts') },
  {
    name: 'env',
    summary: "Print an account's token as lines for a shell.",
    load: () => import('./env.ts'),
  },
  {
    name: 'run',
    summary: "Run a program with an account's token in its environment.",
    load: () => import('./run.ts'),
  },
  {
    name: 'refresh',
    summary: 'Renew a token now: "try once more".',
    load: () => import('./refresh.ts'),
  },
  {
    name: 'logout',
    summary: 'End a session at the broker and take its token back.',
    load: () => import('./logout.ts'),
  },
  {
    name: 'events',
    summary: 'Tell what happened, and check that nobody changed the record.',
    load: () => import('./events.ts'),
  },
  {
    name: 'destination',
    summary: 'Say where programs read tokens: add, attach, test, list, remove.',
    load: () => import('./destination.ts'),
  },
  {
    name: 'keys',
    summary: 'Say which programs may ask the service: create, list, revoke.',
    load: () => import('./keys.ts'),
  },
  {
    name: 'sim',
    summary: 'Run simulated brokers to try Openbell without one.',
    load: () => import('./sim.ts'),
  },
  {
    name: 'demo',
    summary: 'Run Openbell over simulated brokers.',
    hidden: true,
    load: () => import('./demo.ts'),
  },
]
