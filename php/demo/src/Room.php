<?php

declare(strict_types=1);

namespace Demo;

use PDO;

/**
 * A room of the chat. Its messages are numbered 1, 2, 3 … in SQLite, which is how a page can tell that none is missing.
 * They are published to `chat.ROOM`, and who is typing to `chat.ROOM.typing`. Who is there the hub knows itself: see stream.php.
 */
final class Room
{
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
        $message['epoch'] = Database::epoch();
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
