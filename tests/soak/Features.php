<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use PhpSse\Tests\Server\Php;

/** What the extension under test can do. */
final class Features
{
    private function __construct(
        /** sse_publish() has a mode. */
        public readonly bool $modes,
        public readonly bool $bus,
        public readonly bool $upgrade,
    ) {
    }

    public static function ask(): self
    {
        $code = 'echo json_encode([ini_get("sse.publish") !== false, ini_get("sse.bus") !== false, function_exists("sse_hub_upgrade")]);';
        $command = [Php::cli(), '-n', '-d', 'extension=' . Php::extension(), '-r', $code];

        return new self(...json_decode((string) shell_exec(implode(' ', array_map('escapeshellarg', $command))), true, 512, JSON_THROW_ON_ERROR));
    }

    /** @return array<string, int> modes of publishing, and how often each */
    public function modes(): array
    {
        return ['ack' => 20] + ($this->modes ? ['async' => 2, 'commit' => 2] : []);
    }
}
