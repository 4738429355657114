<?php

declare(strict_types=1);

namespace Sse\Endpoint\Dashboard;

use SseInvalidArgument;
use SseUnavailable;

/**
 * Who watches a topic, and who is present there.
 *
 * @internal
 */
final class TopicView
{
    /** Most members in an answer, and most bytes of what one tells of itself. */
    private const PAGE = 50;
    private const INFO = 200;

    /**
     * As JSON: `watchers`, streams of this machine; `all`, those of all machines, null if they can't be asked; `count` of members,
     * the next `members`, and the id `after` which there are more; null: there are none.
     *
     * @throws SseInvalidArgument It is no topic.
     */
    public static function of(string $topic, ?string $after): string
    {
        [$members, $id] = [[], null];
        foreach (\sse_presence($topic, $after, self::PAGE) as $id => $member) {
            $members[] = ['id' => (string) $id, 'info' => substr(Json::of($member['info']), 0, self::INFO)] + $member;
        }

        return Json::of([
            'topic' => $topic,
            'watchers' => \sse_watchers($topic, local: true),
            'all' => self::all($topic),
            'count' => \sse_presence_count($topic),
            'members' => $members,
            'after' => count($members) < self::PAGE ? null : (string) $id,
        ]);
    }

    private static function all(string $topic): ?int
    {
        try {
            return \sse_watchers($topic);
        } catch (SseUnavailable) {
            return null;
        }
    }
}
