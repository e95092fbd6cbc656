/** The sentence for a Node that is too old, undefined for one that will do: 20.19 or later, 22, 24 and on. */
export function nodeVersionFault(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return undefined;
  return `Lockstep needs Node 20.19 or later, 22 or 24; this is Node ${version}.`;
}
