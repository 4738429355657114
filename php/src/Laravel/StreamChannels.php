<?php

declare(strict_types=1);

namespace Sse\Laravel;

use Illuminate\Http\Request;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;

/**
 * The channels that a request asks for: those that it gets, and, each by itself, those that it does not.
 *
 * A stream has one member, so its presence channels must all say the same of the user: one whose callback says something
 * else than the first one's is refused as `presence`, and is for a stream of its own.
 */
final class StreamChannels
{
    /** @var list<Admission> */
    public readonly array $allowed;
    /** @var list<array{channel: string, reason: string}> */
    public readonly array $refused;
    /** The first admission to a presence channel; null: none. */
    public readonly ?Admission $member;

    /** @param list<string> $channels Names as a client says them. */
    public function __construct(SseBroadcaster $broadcaster, Request $request, array $channels)
    {
        $allowed = $refused = [];
        $member = null;
        foreach (array_unique($channels) as $channel) {
            $reason = $broadcaster->topics->has($channel) ? 'forbidden' : 'name';
            try {
                $admission = $broadcaster->admit($request, $channel);
            } catch (AccessDeniedHttpException) {
                $refused[] = ['channel' => $channel, 'reason' => $reason];
                continue;
            }
            if ($admission->id !== null) {
                $member ??= $admission;
                if (self::told($admission) !== self::told($member)) {
                    $refused[] = ['channel' => $channel, 'reason' => 'presence'];
                    continue;
                }
            }
            $allowed[] = $admission;
        }
        $this->allowed = $allowed;
        $this->refused = $refused;
        $this->member = $member;
    }

    /** What others are told of a member: PHP's `==` takes '10' and '1e1' for the same. */
    private static function told(Admission $admission): string
    {
        return json_encode([$admission->id, $admission->info], JSON_THROW_ON_ERROR);
    }

    /**
     * What a stream of these watches. Of a refused one it is a pattern of which nothing comes: a replay is told what the stream
     * watches, and so knows what was refused at first.
     *
     * @return list<string>
     */
    public function patterns(ChannelTopics $topics): array
    {
        return [
            ...array_map(static fn (Admission $admission): string => $topics->pattern($admission->channel), $this->allowed),
            ...array_map(static fn (array $one): string => $topics->refused($one['channel']), $this->refused),
        ];
    }

    /** @return array{channels: list<array<string, mixed>>, refused: list<array<string, string>>} */
    public function json(ChannelTopics $topics): array
    {
        $channels = array_map(static fn (Admission $admission): array => [
            'channel' => $admission->channel,
            'topic' => $topics->pattern($admission->channel),
        ] + ($admission->id === null ? [] : ['member' => ['id' => $admission->id, 'info' => $admission->info]]), $this->allowed);

        return ['channels' => $channels, 'refused' => $this->refused];
    }
}
