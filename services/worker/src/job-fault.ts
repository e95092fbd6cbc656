/** The job itself cannot go on, whoever computes it: another worker would meet the same. The message is for the user. */
export class JobFault extends Error {
  override readonly name = "JobFault";
}
