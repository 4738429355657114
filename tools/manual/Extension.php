<?php

declare(strict_types=1);

/** What a built extension says of itself, asked in a process of its own with a hub of its own. */
final class Extension
{
    /**
     * @param array<string, array{global_value: ?string, access: int}> $settings
     * @param array<string, mixed> $statistics
     */
    private function __construct(
        public readonly array $settings,
        public readonly array $statistics,
        public readonly string $metrics,
    ) {
    }

    public static function ask(string $extension): self
    {
        $folder = sys_get_temp_dir() . '/sse-docs-' . bin2hex(random_bytes(6));
        mkdir($folder, 0700);
        $settings = self::run($extension, $folder, [], "echo json_encode(ini_get_all('sse'));");
        $own = ['sse.socket' => "$folder/hub.sock", 'sse.udp' => '127.0.0.1:0', 'sse.idle_exit' => '10'];
        $figures = self::run($extension, $folder, $own, <<<'PHP'
            $stats = sse_stats();
            echo json_encode(['statistics' => $stats, 'metrics' => sse_metrics()]);
            posix_kill($stats['pid'], SIGTERM);
            PHP);
        array_map('unlink', glob("$folder/*") ?: []);
        @rmdir($folder);

        return new self($settings, $figures['statistics'], $figures['metrics']);
    }

    /**
     * @param array<string, string> $settings
     * @return array<string, mixed>
     */
    private static function run(string $extension, string $folder, array $settings, string $code): array
    {
        $command = [PHP_BINARY, '-n', '-d', 'extension=' . realpath($extension)];
        // Debian has it as a module of its own; PHP's own build has it built in.
        $command = [...$command, ...(is_file(PHP_EXTENSION_DIR . '/posix.so') ? ['-d', 'extension=posix'] : [])];
        foreach ($settings as $name => $value) {
            array_push($command, '-d', "$name=$value");
        }
        $process = proc_open([...$command, '-r', $code], [1 => ['pipe', 'w'], 2 => STDERR], $pipes, $folder);
        $output = is_resource($process) ? (string) stream_get_contents($pipes[1]) : '';

        return json_decode($output, true, flags: JSON_THROW_ON_ERROR);
    }
}
