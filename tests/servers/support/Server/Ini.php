<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** PHP's settings for a fixture: nothing of the machine's own ini files, the extension, and what the test wants. */
final class Ini
{
    /**
     * @param array<string, string|int> $settings
     * @param list<string> $modules PHP's own that the test needs besides, where this PHP does not have them built in
     * @param bool $extension whether the extension under test is there
     */
    public function __construct(
        private readonly array $settings,
        private readonly array $modules = [],
        private readonly bool $extension = true,
    ) {
    }

    /** @return array<string, string|int> a hub of the test's own at this socket, which leaves nothing to chance */
    public static function ofHub(string $socket): array
    {
        return [
            'sse.socket' => $socket,
            'sse.udp' => '',
            'sse.processes' => getenv('SSE_HUB_TEST_PROCESSES') ?: 'auto',
            'sse.retry_jitter' => 0,
            // What is to wait in vain says for how long.
            'sse.timeout' => 30_000,
            'sse.log_level' => 'info',
        ];
    }

    public function text(): string
    {
        $text = '';
        foreach ($this->needed() as $key => $modules) {
            foreach ($modules as $module) {
                $text .= "$key = \"$module\"\n";
            }
        }
        foreach ($this->settings as $name => $value) {
            $text .= "$name = \"$value\"\n";
        }

        return $text;
    }

    /** @return list<string> the same for a command line, to be used with -n */
    public function arguments(): array
    {
        $arguments = ['-n'];
        foreach ($this->needed() as $key => $modules) {
            foreach ($modules as $module) {
                array_push($arguments, '-d', "$key=$module");
            }
        }
        foreach ($this->settings as $name => $value) {
            array_push($arguments, '-d', "$name=\"$value\"");
        }

        return $arguments;
    }

    /** @return array<string, list<string>> */
    private function needed(): array
    {
        return array_filter([
            // With opcache, since that is how PHP is run behind a server.
            'zend_extension' => Php::hasModule('opcache') ? ['opcache'] : [],
            'extension' => [
                ...array_filter($this->modules, Php::hasModule(...)),
                ...($this->extension ? [Php::extension()] : []),
            ],
        ]);
    }
}
