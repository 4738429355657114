<?php

declare(strict_types=1);

namespace Sse\Laravel;

use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Contracts\Config\Repository;
use Illuminate\Contracts\Foundation\CachesRoutes;
use Illuminate\Routing\ResponseFactory;
use Illuminate\Routing\Router;
use Illuminate\Support\ServiceProvider;
use LogicException;
use Sse\Console\Program;
use Sse\Laravel\Console\InstallCommand;
use Sse\Laravel\Console\StatsCommand;
use Sse\Laravel\Console\TailCommand;
use Sse\Publisher\ExtensionPublisher;
use Sse\PublisherInterface;
use Sse\Rules;
use Sse\Symfony\ConsoleCommand;

/**
 * Makes `sse` a connection of Laravel's broadcasting: `BROADCAST_CONNECTION=sse` in .env (up to Laravel 10
 * `BROADCAST_DRIVER=sse`) is all that it needs. Composer's package discovery finds it.
 */
final class SseServiceProvider extends ServiceProvider
{
    public function register(): void
    {
        $this->mergeConfigFrom(__DIR__ . '/config.php', 'sse');
        $config = $this->made(Repository::class);
        if ($config->get('broadcasting.connections.sse') === null) {
            $config->set('broadcasting.connections.sse', ['driver' => 'sse']);
        }
        $this->app->singleton(Settings::class, static function () use ($config): Settings {
            $settings = $config->get('sse');

            return new Settings(is_array($settings) ? $settings : []);
        });
        $this->app->singleton(ChannelTopics::class, fn (): ChannelTopics => new ChannelTopics(
            $this->made(Settings::class)->prefix,
        ));
        $this->app->singletonIf(PublisherInterface::class, fn (): PublisherInterface => new ExtensionPublisher(
            $this->made(Settings::class)->publish,
        ));
        $this->callAfterResolving(BroadcastManager::class, function (BroadcastManager $manager): void {
            $manager->extend('sse', $this->broadcaster(...));
        });
    }

    public function boot(): void
    {
        if ($this->app->runningInConsole()) {
            $this->publishes([__DIR__ . '/config.php' => $this->app->configPath('sse.php')], 'sse-config');
            $this->commands([InstallCommand::class, StatsCommand::class, TailCommand::class, ...$this->consoleCommands()]);
        }
        // Laravel binds a closure to its object; this is none.
        ResponseFactory::macro('sseStream', [EventStreamResponse::class, 'of']);
        if (!$this->app instanceof CachesRoutes || !$this->app->routesAreCached()) {
            self::routes($this->made(Router::class), $this->made(Settings::class));
        }
    }

    /** @return list<string> The program `sse`'s commands but for those that Laravel has of its own, as names that the container makes. */
    private function consoleCommands(): array
    {
        $names = [];
        foreach (Program::commands() as $command) {
            $name = "sse:{$command->definition()->name}";
            if (!in_array($name, ['sse:stats', 'sse:tail'], true)) {
                $this->app->bind($name, static fn (): ConsoleCommand => new ConsoleCommand($command));
                $names[] = $name;
            }
        }

        return $names;
    }

    private function broadcaster(): SseBroadcaster
    {
        return new SseBroadcaster(
            $this->made(PublisherInterface::class),
            $this->made(ChannelTopics::class),
            Rules::mostTopics(),
        );
    }

    private static function routes(Router $router, Settings $settings): void
    {
        if ($settings->path === null) {
            return;
        }
        $group = ['prefix' => $settings->path, 'middleware' => [AnswerJson::class, ...$settings->middleware], 'as' => 'sse.'];
        $router->group($group, static function (Router $router) use ($settings): void {
            $stream = $settings->streamMiddleware;
            // By POST where there are more channels than a URL has room for.
            $router->match(['GET', 'POST'], 'stream', [SseController::class, 'stream'])->name('stream')->middleware($stream);
            $router->post('topics', [SseController::class, 'topics'])->name('topics')->middleware($stream);
            $router->get('channels', [SseController::class, 'channels'])->name('channels')->middleware($stream);
            $router->get('members', [SseController::class, 'members'])->name('members')->middleware($stream);
            $router->post('whisper', [SseController::class, 'whisper'])->name('whisper')
                ->middleware($settings->whisperMiddleware);
        });
    }

    /**
     * @template Made of object
     *
     * @param class-string<Made> $class
     *
     * @return Made
     */
    private function made(string $class): object
    {
        $made = $this->app->make($class);

        return $made instanceof $class ? $made : throw new LogicException("the container makes no $class");
    }
}
