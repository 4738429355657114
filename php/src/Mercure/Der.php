<?php

declare(strict_types=1);

namespace Sse\Mercure;

/** The little of ASN.1's distinguished encoding (X.690) that keys and signatures need. */
final class Der
{
    private const NUMBER = "\x02";
    private const BITS = "\x03";
    private const SEQUENCE = "\x30";

    /** A number that is not negative, the largest byte first. */
    public static function number(string $bytes): string
    {
        $bytes = ltrim($bytes, "\0");
        if ($bytes === '' || ord($bytes[0]) > 0x7F) {
            $bytes = "\0$bytes";
        }

        return self::tagged(self::NUMBER, $bytes);
    }

    public static function sequence(string ...$parts): string
    {
        return self::tagged(self::SEQUENCE, implode('', $parts));
    }

    /** A public key (RFC 5280, 4.1: SubjectPublicKeyInfo), as PEM. */
    public static function publicKey(string $algorithm, string $bits): string
    {
        $key = self::sequence($algorithm, self::tagged(self::BITS, "\0$bits"));

        return "-----BEGIN PUBLIC KEY-----\n" . chunk_split(base64_encode($key), 64, "\n") . "-----END PUBLIC KEY-----\n";
    }

    private static function tagged(string $tag, string $content): string
    {
        $length = strlen($content);
        $bytes = $length < 0x80 ? chr($length) : ltrim(pack('N', $length), "\0");

        return $tag . ($length < 0x80 ? '' : chr(0x80 | strlen($bytes))) . $bytes . $content;
    }
}
