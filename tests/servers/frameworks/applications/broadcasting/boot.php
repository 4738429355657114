<?php

declare(strict_types=1);

// A Laravel application that broadcasts, as a new one is: kernel, middlewares, login, sessions, a database and a queue.

use App\Console\Kernel as ArtisanKernel;
use App\Events\AnnounceMany;
use App\Events\DatabaseNotificationsSent;
use App\Events\Invoice;
use App\Events\OrderPaid;
use App\Events\Said;
use App\LaravelSite;
use App\Models\User;
use Illuminate\Contracts\Console\Kernel as ConsoleKernel;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Broadcast;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Queue;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\Facades\Schema;

// Debian's, or the one that the test has put beside this file.
require is_file(__DIR__ . '/autoload.php') ? __DIR__ . '/autoload.php' : 'Illuminate/autoload.php';
require dirname(__DIR__) . '/autoload.php';
require dirname(__DIR__) . '/LaravelSite.php';
require __DIR__ . '/ArtisanKernel.php';
require __DIR__ . '/User.php';
require __DIR__ . '/events.php';

$app = LaravelSite::in(__DIR__);
$storage = $app->storagePath();
$app->singleton(ConsoleKernel::class, ArtisanKernel::class);
$app->booted(static function () use ($storage): void {
    if (is_file("$storage/chat.db")) {
        // The application's own data: no test ends the machine, and each job of the queue writes three times.
        DB::statement('PRAGMA synchronous = OFF');
    }
    Broadcast::routes();
    // What a new application has in routes/channels.php.
    Broadcast::channel('App.User.{id}', static fn (User $user, int $id): bool => $user->id === $id);
    Broadcast::channel('team.{team}', static fn (User $user, int $team): bool => is_file("$storage/team-$team"));
    // Whoever has joined, has added it to the stream, and has been shut out again, before the hub asked.
    Broadcast::channel('moment.{id}', static fn (User $user, int $id): bool => request()->is('sse/topics'));
    Broadcast::channel('room.{room}', static fn (User $user, string $room): array|bool => match ($room) {
        'closed' => false,
        'ten' => ['name' => '10'],
        'exponent' => ['name' => '1e1'],
        'staff' => ['name' => $user->name, 'role' => 'chief'],
        'large' => ['name' => $user->name, 'about' => str_repeat('x', 3900)],
        default => ['name' => $user->name],
    });

    Route::middleware('web')->group(static function (): void {
        Route::get('/login/{id}', static fn (int $id) => Auth::loginUsingId($id) ? csrf_token() : abort(403));
        Route::get('/logout', static function (): string {
            Auth::logout();

            return 'logged out';
        });
        Route::get('/room/{room}', static fn (string $room): string => strtr((string) file_get_contents(__DIR__ . '/room.html'), [
            '{token}' => csrf_token(),
            '{user}' => (string) Auth::id(),
            '{room}' => e($room),
            '{path}' => request()->getBaseUrl(),
        ]));
        Route::get('/hooks/{framework}', static fn (string $framework): string => sprintf(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>%s</title><link rel="icon" href="data:,">'
            . '<body data-user="%d" data-path="%s"><script type="module" src="/assets/hooks-%1$s.js"></script></body></html>',
            e($framework),
            (int) Auth::id(),
            e(request()->getBaseUrl()),
        ));
        Route::get('/flash', static fn (Request $request): string => $request->session()->flash('told', 'saved') ?? 'flashed');
        Route::get('/progress', static fn () => response()->sseStream('jobs.1', static function (): iterable {
            $done = (int) file_get_contents(storage_path('progress'));
            yield "$done of 2";
            yield ['done' => $done, 'by' => Auth::user()->name];
            if ($done === 2) {
                yield new SseEnd();
            }
        }, ['X-Of' => 'the application'], only_changes: false));
        Route::get('/page', static fn (Request $request): string => $request->session()->get('told', 'nothing')
            . ' ' . $request->session()->previousUrl());
        Route::post('/say', static function (Request $request): string {
            $event = new Said((array) $request->input('channels'), (string) $request->input('text'));
            if ($request->boolean('others')) {
                broadcast($event)->toOthers();
            } else {
                event($event);
            }

            return 'said';
        });
    });
    Route::post('/pay', static function (Request $request): string {
        DB::transaction(static function () use ($request): void {
            event(new OrderPaid((int) $request->input('user', 1), (string) $request->input('title')));
            abort_if($request->boolean('fail'), 409);
        });

        return 'paid';
    });
    Route::post('/pay-all', static function (Request $request): string {
        DB::transaction(static function () use ($request): void {
            foreach (User::all() as $user) {
                event(new OrderPaid($user->id, (string) $request->input('title')));
            }
        });

        return 'paid';
    });
    Route::post('/rename/{id}', static function (Request $request, int $id): string {
        User::find($id)->forceFill(['name' => (string) $request->input('name')])->save();

        return 'renamed';
    });
    Route::post('/announce', static function (Request $request): string {
        event(new Said((array) $request->input('channels'), (string) $request->input('text')));

        return 'announced';
    });
    Route::post('/announce-many', static function (): string {
        for ($job = 0; $job < 20; $job++) {
            Queue::push(new AnnounceMany());
        }

        return 'queued';
    });
    Route::post('/work/{done}', static function (int $done) use ($storage): string {
        file_put_contents("$storage/progress", (string) $done);
        SseTrigger::push('jobs.1');

        return 'worked';
    });
    // Newer versions of Laravel broadcast without a class, too.
    Route::post('/anonymous', static function (): string {
        if (!method_exists(Broadcast::getFacadeRoot(), 'private')) {
            return 'not here';
        }
        Broadcast::private('App.User.1')->as('paid')->with(['title' => 'tea'])->toOthers()->sendNow();

        return 'sent';
    });
    Route::post('/notify', static function (): string {
        User::find(1)->notifyNow(new Invoice());
        event(new DatabaseNotificationsSent(1));

        return 'notified';
    });
    Route::get('/install', static function () use ($storage): string {
        touch("$storage/chat.db");
        Schema::create('users', static function (Blueprint $table): void {
            $table->id();
            $table->string('name');
            $table->rememberToken();
        });
        Schema::create('jobs', static function (Blueprint $table): void {
            $table->id();
            $table->string('queue')->index();
            $table->longText('payload');
            $table->unsignedTinyInteger('attempts');
            $table->unsignedInteger('reserved_at')->nullable();
            $table->unsignedInteger('available_at');
            $table->unsignedInteger('created_at');
        });
        $names = ['Ann', 'Bob', 'Cid', ...array_map(static fn (int $id): string => "User $id", range(4, 300))];
        DB::table('users')->insert(array_map(
            static fn (int $i): array => ['id' => $i + 1, 'name' => $names[$i]],
            array_keys($names),
        ));

        return 'installed';
    });
});

return $app;
