<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** An event to be published, whose data says whose and which it is: `p1-17 alpha,gamma …`. */
final class Draft
{
    /** Bytes of data that every event may have. */
    public const LARGEST = 200_000;

    /** @param list<string> $topics */
    public function __construct(
        public readonly string $key,
        public readonly array $topics,
        public readonly string $data,
        public readonly ?string $name = null,
        public readonly ?string $id = null,
    ) {
    }

    public static function random(Chance $chance, string $publisher, int $number): self
    {
        $key = "$publisher-$number";
        // The topic `quiet` gets hardly any: a reader's place in it is an old one.
        $busy = array_slice(Topics::ALL, 0, -1);
        $topics = $chance->some($busy, $chance->percent(85) ? 1 : $chance->whole(2, 3));
        if ($chance->percent(1)) {
            $topics[] = 'quiet';
        }
        $kind = $chance->between(0, 100);
        $size = match (true) {
            $kind < 70 => $chance->whole(0, 200),
            $kind < 99.6 => $chance->whole(200, 4_000),
            default => $chance->whole(20_000, self::LARGEST - 100),
        };
        $piece = $chance->one(["line\nline\n", "ä€😀 ", ': data: id: ', "x\n\n", str_repeat('abcdefgh', 50)]);
        $data = "$key " . implode(',', $topics) . ' ' . mb_strcut(str_repeat($piece, intdiv($size, strlen($piece)) + 1), 0, $size);
        $id = $chance->percent(20) ? "own/$key" : null;

        return new self($key, $topics, $data, $chance->percent(15) ? $chance->one(['news', 'x']) : null, $id);
    }

    /** Names an event's content; every byte of its data, and its type. */
    public function hash(): string
    {
        return self::hashOf($this->name ?? 'message', $this->data);
    }

    public static function hashOf(string $name, string $data): string
    {
        return substr(md5("$name\0$data"), 0, 12);
    }

    /** The key that data begins with; what has none is shown instead. */
    public static function keyOf(string $data): string
    {
        return preg_match('/^([a-z]+\d*-\d+) /', $data, $found) === 1 ? $found[1] : '?' . substr($data, 0, 60);
    }
}
