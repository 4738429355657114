<?php

declare(strict_types=1);

namespace Demo;

/** What a script of the demo was asked, checked; and how it answers. What is wrong ends the script with a status and a reason. */
final class Request
{
    /** Goes on only if it is a POST of one of the demo's own pages, or of no browser at all. */
    public static function post(): void
    {
        self::method('POST');
        self::ownPage();
    }

    public static function method(string ...$allowed): string
    {
        $method = $_SERVER['REQUEST_METHOD'];
        if (!in_array($method, $allowed, true)) {
            header('Allow: ' . implode(', ', $allowed));
            self::refuse(405, "$method is not answered here, but " . implode(', ', $allowed) . '.');
        }
        return $method;
    }

    /**
     * A page of another site can send a form here, but browsers tell whose it was, and no script can change what they say.
     * What comes from no browser, as from curl, is nobody's but the sender's.
     */
    public static function ownPage(): void
    {
        $origin = $_SERVER['HTTP_ORIGIN'] ?? '';
        // On plain HTTP in a network, browsers tell the origin only.
        $own = match ($_SERVER['HTTP_SEC_FETCH_SITE'] ?? '') {
            '' => $origin === '' || preg_replace('~^https?://~', '', $origin) === $_SERVER['HTTP_HOST'],
            'same-origin' => true,
            default => false,
        };
        if (!$own) {
            self::refuse(403, 'This can be sent by the demo\'s own pages only.');
        }
    }

    /** By its address, and by a name that somebody else can't let point at this machine. */
    public static function isOfThisMachine(): bool
    {
        $address = $_SERVER['REMOTE_ADDR'] ?? '';
        return ($address === '::1' || str_starts_with($address, '127.'))
            && preg_match('/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/D', $_SERVER['HTTP_HOST'] ?? '') === 1;
    }

    /** A field of the form, without white space around it. */
    public static function text(string $field, int $bytes, ?string $default = null): string
    {
        return self::checked($field, $_POST[$field] ?? $default, $bytes, $default !== null);
    }

    /** A parameter of the URL, without white space around it. */
    public static function parameter(string $name, int $bytes): string
    {
        return self::checked($name, $_GET[$name] ?? null, $bytes, false);
    }

    /** The room: a part of topics, so no dots and no wildcards. */
    public static function room(): string
    {
        $room = self::checked('room', $_POST['room'] ?? $_GET['room'] ?? 'general', 40, false);
        if (preg_match('/^[a-z0-9]+(-[a-z0-9]+)*$/D', $room) !== 1) {
            self::refuse(422, "'room' must be of lower-case letters and digits, with single hyphens between them.");
        }
        return $room;
    }

    /** @return array<string, mixed> The body, which must be a JSON object. */
    public static function json(): array
    {
        // A form of another site can't send this type without asking first.
        if (!str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json')) {
            self::refuse(415, 'The body must be of the type application/json.');
        }
        $value = json_decode((string) file_get_contents('php://input', length: 16384), true);
        return is_array($value) ? $value : self::refuse(422, 'The body must be a JSON object.');
    }

    public static function answer(mixed $value): void
    {
        header('Content-Type: application/json');
        header('Cache-Control: no-store');
        echo json_encode($value, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR);
    }

    public static function refuse(int $status, string $reason): never
    {
        http_response_code($status);
        self::answer(['code' => $status, 'message' => $reason]);
        exit;
    }

    private static function checked(string $field, mixed $value, int $bytes, bool $mayBeEmpty): string
    {
        $text = is_string($value) ? trim($value) : null;
        // Valid UTF-8 without control characters, but tabs and line ends.
        $valid = $text !== null && strlen($text) <= $bytes && preg_match('/^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$/uD', $text) === 1;
        if (!$valid || ($text === '' && !$mayBeEmpty)) {
            self::refuse(422, "'$field' must be text in UTF-8, of 1 to $bytes bytes.");
        }
        return $text;
    }
}
