import kafkajs, { type PartitionAssigner } from 'kafkajs';

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;

const NAME = 'ByPartitionNumber';
const VERSION = 0;
const userData = Buffer.alloc(0);

/**
 * Gives partitions of the same number to the same member, whatever their topic: who has a guest's events has its chunks, too.
 * Every member gets an answer, an empty one if need be: kafkajs takes none for a reason to leave.
 */
export const byPartitionNumber: PartitionAssigner = ({ cluster }) => ({
  name: NAME,
  version: VERSION,
  assign: async ({ members, topics }) => {
    const ids = members.map(({ memberId }) => memberId).sort();
    const shareOf = (topic: string, rank: number): number[] =>
      cluster
        .findTopicPartitionMetadata(topic)
        .map(({ partitionId }) => partitionId)
        .filter((partition) => partition % ids.length === rank);
    return ids.map((memberId, rank) => {
      const assignment = Object.fromEntries(topics.map((topic) => [topic, shareOf(topic, rank)]));
      return { memberId, memberAssignment: MemberAssignment.encode({ version: VERSION, assignment, userData }) };
    });
  },
  protocol: ({ topics }) => ({
    name: NAME,
    metadata: MemberMetadata.encode({ version: VERSION, topics, userData }),
  }),
});
