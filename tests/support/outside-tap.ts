/**
 * What to hand to node:child_process so that a program runs as a user would run it. tap loads its hooks into every Node
 * process that a test starts, by NODE_OPTIONS; there they cost time, and the TypeScript compiler does not start with them.
 */
export function outsideTap(program: string, args: readonly string[]): [program: string, args: string[]] {
  return ['env', ['-u', 'NODE_OPTIONS', program, ...args]]
}
