<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** PHP's settings for a fixture: nothing of the machine's own ini files, the extension, and what the test wants. */
final class Ini
{
    /** @param array<string, string|int> $settings */
    public function __construct(private readonly array $settings)
    {
    }

    public function text(): string
    {
        $text = '';
        foreach (self::needed() as $key => $modules) {
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
        foreach (self::needed() as $key => $modules) {
            foreach ($modules as $module) {
                array_push($arguments, '-d', "$key=$module");
            }
        }
        foreach ($this->settings as $name => $value) {
            array_push($arguments, '-d', "$name=$value");
        }

        return $arguments;
    }

    /** @return array<string, list<string>> */
    private static function needed(): array
    {
        $folder = ini_get('extension_dir');

        return array_filter([
            // With opcache, since that is how PHP is run behind a server.
            'zend_extension' => is_file("$folder/opcache.so") ? ['opcache'] : [],
            'extension' => [Php::extension()],
        ]);
    }
}
