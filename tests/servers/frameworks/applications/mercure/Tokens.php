<?php

declare(strict_types=1);

namespace App;

use DateTimeInterface;
use Symfony\Component\Mercure\Jwt\TokenFactoryInterface;

/** The tokens of symfony/mercure's cookies. Its own factory needs lcobucci/jwt, which Debian does not have. */
final class Tokens implements TokenFactoryInterface
{
    public function __construct(private readonly string $secret)
    {
    }

    public function create(?array $subscribe = [], ?array $publish = [], array $additionalClaims = []): string
    {
        $seconds = static fn (mixed $value): mixed => $value instanceof DateTimeInterface ? $value->getTimestamp() : $value;
        $claims = ['mercure' => ['subscribe' => $subscribe, 'publish' => $publish]] + array_map($seconds, $additionalClaims);
        $text = self::part('{"alg":"HS256","typ":"JWT"}') . '.' . self::part(json_encode($claims, JSON_THROW_ON_ERROR));

        return $text . '.' . self::part(hash_hmac('sha256', $text, $this->secret, true));
    }

    private static function part(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
