<?php

declare(strict_types=1);

namespace Sse\Laravel\Console;

use Illuminate\Console\Command;
use Illuminate\Foundation\Application;
use RuntimeException;

/**
 * `php artisan sse:install`: makes `sse` what the application broadcasts by, as far as files say so. What is there already
 * stays as it is, and a second call changes nothing.
 */
final class InstallCommand extends Command
{
    private const CHANNELS = <<<'PHP'
        <?php

        use Illuminate\Support\Facades\Broadcast;

        Broadcast::channel('App.Models.User.{id}', fn ($user, $id) => (int) $user->id === (int) $id);

        PHP;

    private const ECHO = <<<'JS'
        import Echo from 'laravel-echo'
        import { SseConnector } from 'php-sse-client/echo'

        window.Echo = new Echo({ broadcaster: SseConnector })

        JS;

    /** @var string */
    protected $signature = 'sse:install';

    /** @var string */
    protected $description = 'Broadcast by php-sse: .env, config/sse.php, routes/channels.php and resources/js/echo.js';

    public function handle(Application $app): int
    {
        $this->environment($app);
        $this->file($app->basePath('config/sse.php'), self::read(dirname(__DIR__) . '/config.php'));
        $this->file($app->basePath('routes/channels.php'), self::CHANNELS);
        if (is_dir($app->basePath('resources/js'))) {
            $this->file($app->basePath('resources/js/echo.js'), self::ECHO);
        }
        if (version_compare($app->version(), '11', '>=')) {
            $this->line("bootstrap/app.php must name it: ->withRouting(channels: __DIR__.'/../routes/channels.php', ...)");
        } else {
            $this->line('app/Providers/BroadcastServiceProvider.php must be among the providers of config/app.php');
        }
        $this->line("In the page: npm install laravel-echo /path/to/php-sse/js, and import './echo' in resources/js/app.js");
        $this->line('/path/to/php-sse is a clone of the project: its client is not in the npm registry');

        return self::SUCCESS;
    }

    private function environment(Application $app): void
    {
        $file = $app->environmentFilePath();
        $text = is_file($file) ? self::read($file) : '';
        $name = version_compare($app->version(), '11', '>=') ? 'BROADCAST_CONNECTION' : 'BROADCAST_DRIVER';
        $changed = preg_replace("/^$name=.*$/m", "$name=sse", $text, 1, $count) ?? $text;
        if ($count === 0) {
            $changed = self::with($changed, "$name=sse");
        }
        if (preg_match('/^SSE_PREFIX=/m', $changed) !== 1) {
            $changed = self::with($changed, 'SSE_PREFIX=' . self::prefix($changed));
        }
        if ($changed === $text) {
            $this->line("$file: is as it should be");

            return;
        }
        self::write($file, $changed);
        $this->info("$file: $name=sse");
    }

    /** Applications of one hub need different ones, and mostly have different names. */
    private static function prefix(string $environment): string
    {
        preg_match('/^APP_NAME=["\']?([^"\'\r\n]*)/m', $environment, $name);
        $prefix = trim(substr((string) preg_replace('/[^a-z0-9]+/', '-', strtolower($name[1] ?? '')), 0, 64), '-');

        return $prefix === '' ? 'laravel' : $prefix;
    }

    private static function with(string $text, string $line): string
    {
        return ($text === '' || str_ends_with($text, "\n") ? $text : "$text\n") . "$line\n";
    }

    private function file(string $file, string $text): void
    {
        if (is_file($file)) {
            $this->line("$file: stays as it is");

            return;
        }
        self::write($file, $text);
        $this->info("$file: written");
    }

    private static function read(string $file): string
    {
        $text = file_get_contents($file);

        return $text !== false ? $text : throw new RuntimeException("$file can't be read");
    }

    private static function write(string $file, string $text): void
    {
        if (!is_dir(dirname($file))) {
            mkdir(dirname($file), 0o777, true);
        }
        if (file_put_contents($file, $text) === false) {
            throw new RuntimeException("$file can't be written");
        }
    }
}
