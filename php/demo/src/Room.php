<?php

declare(strict_types=1);

namespace Demo;

use PDO;

/**
 * A room of the chat. Its messages are numbered 1, 2, 3 … in SQLite, which is how a page can tell that none is missing.
 * They are published to `chat.ROOM`, who is there to `chat.ROOM.present`, and who is typing to `chat.ROOM.typing`.
 */
final class Room
{
    /** Milliseconds after which somebody who didn't say so is no longer there. Pages say it every 5 seconds. */
    private const AWAY = 13_000;

    public readonly string $topic;

    public function __construct(private readonly string $name)
    {
        $this->topic = "chat.$name";
    }

    /**
     * Keeps a message, and tells everybody. A message that is sent again, because its sender got no answer, has the same
     * key: it is told again, under its first number.
     *
     * @return array<string, mixed> What was told.
     */
    public function say(string $client, string $sender, string $text, string $key): array
    {
        $message = Database::transaction(function (PDO $database) use ($client, $sender, $text, $key): array {
            $known = $this->find('key = ?', $key);
            if ($known !== []) {
                return $known[0];
            }
            Database::change(
                'INSERT INTO message (room, seq, key, client, sender, text, sent)
                 SELECT ?1, 1 + COALESCE(MAX(seq), 0), ?2, ?3, ?4, ?5, ?6 FROM message WHERE room = ?1',
                $this->name,
                $key,
                $client,
                $sender,
                $text,
                Clock::now(),
            );
            return $this->find('key = ?', $key)[0];
        });
        $message['steps'] = ['began' => Clock::began(), 'stored' => Clock::now()];
        return $message;
    }

    /** @return list<array<string, mixed>> The messages after this number, the oldest first. */
    public function after(int $seq): array
    {
        return $this->find('seq > ? ORDER BY seq LIMIT 500', $seq);
    }

    /** The number of the newest message, less so many; 0 at least. */
    public function newest(int $less): int
    {
        $newest = Database::rows('SELECT COALESCE(MAX(seq), 0) AS seq FROM message WHERE room = ?', $this->name)[0]['seq'];
        return max(0, $newest - $less);
    }

    /** Somebody is there, or still there, or no longer. Everybody is told if that is new. */
    public function present(string $client, string $name, bool $here): void
    {
        $told = Database::transaction(function () use ($client, $name, $here): bool {
            $before = $this->members();
            Database::change('DELETE FROM member WHERE seen < ?', Clock::now() - self::AWAY);
            if ($here) {
                Database::change('REPLACE INTO member (room, client, name, seen) VALUES (?, ?, ?, ?)', $this->name, $client, $name, Clock::now());
            } else {
                Database::change('DELETE FROM member WHERE room = ? AND client = ?', $this->name, $client);
            }
            return $before !== $this->members();
        });
        if ($told) {
            sse_publish("$this->topic.present", $this->members(), event: 'present', mode: 'async');
        }
    }

    /** @return list<array{client: string, name: string}> */
    public function members(): array
    {
        return Database::rows('SELECT client, name FROM member WHERE room = ? ORDER BY name, client LIMIT 200', $this->name);
    }

    /** @return list<array<string, mixed>> */
    private function find(string $where, mixed $value): array
    {
        return Database::rows(
            "SELECT seq, key, client, sender AS \"from\", text, sent FROM message WHERE room = ? AND $where",
            $this->name,
            $value,
        );
    }
}
