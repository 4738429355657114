<?php

declare(strict_types=1);

// An application of Symfony's components: sessions, a login, listeners before and after, its own error page.
// With ?listener=1 it has the listener that the framework had up to 6.1, which sends streamed responses by itself.

use App\State;
use Psr\Container\ContainerInterface;
use Psr\Log\LogLevel;
use Sse\Stream;
use Sse\Symfony\StreamResponse;
use Symfony\Component\ErrorHandler\ErrorHandler;
use Symfony\Component\EventDispatcher\EventDispatcher;
use Symfony\Component\HttpFoundation\Cookie;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\RequestStack;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\Session\SessionFactory;
use Symfony\Component\HttpFoundation\Session\Storage\NativeSessionStorageFactory;
use Symfony\Component\HttpKernel\Controller\ControllerResolver;
use Symfony\Component\HttpKernel\Event\RequestEvent;
use Symfony\Component\HttpKernel\Event\ResponseEvent;
use Symfony\Component\HttpKernel\EventListener\DebugHandlersListener;
use Symfony\Component\HttpKernel\EventListener\ErrorListener;
use Symfony\Component\HttpKernel\EventListener\RouterListener;
use Symfony\Component\HttpKernel\EventListener\SessionListener;
use Symfony\Component\HttpKernel\EventListener\StreamedResponseListener;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;
use Symfony\Component\HttpKernel\Exception\HttpExceptionInterface;
use Symfony\Component\HttpKernel\HttpKernel;
use Symfony\Component\HttpKernel\KernelEvents;
use Symfony\Component\HttpKernel\Log\Logger;
use Symfony\Component\Routing\Matcher\UrlMatcher;
use Symfony\Component\Routing\RequestContext;
use Symfony\Component\Routing\Route;
use Symfony\Component\Routing\RouteCollection;

require 'Psr/Container/autoload.php';
require 'Symfony/Contracts/Service/autoload.php';
require 'Symfony/Component/HttpKernel/autoload.php';
require 'Symfony/Component/Routing/autoload.php';
require dirname(__DIR__) . '/autoload.php';
require dirname(__DIR__) . '/State.php';

ErrorHandler::register();

$controllers = [
    '/hello' => static fn (): Response => new Response('hello from symfony'),
    '/login' => static function (Request $request): Response {
        $request->getSession()->set('user', $request->query->get('user'));

        return new Response('logged in');
    },
    '/visits' => static function (Request $request): Response {
        $request->getSession()->set('visits', $request->getSession()->get('visits', 0) + 1);

        return new JsonResponse($request->getSession()->all());
    },
    '/stream' => static function (Request $request): Response {
        $request->getSession()->set('visits', $request->getSession()->get('visits', 0) + 1);

        return new StreamResponse(new Stream(["users.{$request->getSession()->get('user')}", 'news'], retry: 700));
    },
    '/logout' => static function (Request $request): Response {
        $request->getSession()->clear();

        return new Response('logged out');
    },
    '/render' => static function (Request $request): Response {
        $user = $request->getSession()->get('user');

        return new StreamResponse(new Stream(State::TOPIC, fn (): array => State::render($user), event: 'state'));
    },
    '/change' => static function (Request $request): Response {
        State::change($request->request->get('text'));

        return new Response('changed');
    },
    '/publish' => static fn (Request $request): Response => new Response(
        sse_publish($request->request->get('topic'), $request->request->get('data')),
    ),
];
$routes = new RouteCollection();
foreach ($controllers as $path => $controller) {
    $routes->add($path, new Route($path, ['_controller' => $controller]));
}
$requests = new RequestStack();
$sessions = new SessionFactory($requests, new NativeSessionStorageFactory());
$services = new class (['session_factory' => $sessions]) implements ContainerInterface {
    /** @param array<string, object> $services */
    public function __construct(private readonly array $services)
    {
    }

    public function get(string $id)
    {
        return $this->services[$id];
    }

    public function has(string $id): bool
    {
        return isset($this->services[$id]);
    }
};
$logger = new Logger(LogLevel::ERROR, ini_get('error_log'));

$dispatcher = new EventDispatcher();
$dispatcher->addSubscriber(new DebugHandlersListener());
$dispatcher->addSubscriber(new SessionListener($services));
$dispatcher->addSubscriber(new RouterListener(new UrlMatcher($routes, new RequestContext()), $requests));
$dispatcher->addSubscriber(new ErrorListener(static fn (Throwable $exception): Response => new JsonResponse(
    ['handled' => $exception::class],
    $exception instanceof HttpExceptionInterface ? $exception->getStatusCode() : 500,
), $logger));
if (($_GET['listener'] ?? '') === '1') {
    $dispatcher->addSubscriber(new StreamedResponseListener());
}
$dispatcher->addListener(KernelEvents::REQUEST, static function (RequestEvent $event): void {
    $request = $event->getRequest();
    $public = in_array($request->getPathInfo(), ['/hello', '/login'], true);
    if ($event->isMainRequest() && !$public && !$request->getSession()->has('user')) {
        throw new AccessDeniedHttpException('refused');
    }
});
$dispatcher->addListener(KernelEvents::RESPONSE, static function (ResponseEvent $event): void {
    $event->getResponse()->headers->set('X-App', 'symfony');
    $event->getResponse()->headers->setCookie(Cookie::create('seen', '1'));
    $event->getResponse()->headers->setCookie(Cookie::create('theme', 'dark'));
});
$dispatcher->addListener(KernelEvents::TERMINATE, static fn () => error_log('symfony: terminated'));

$kernel = new HttpKernel($dispatcher, new ControllerResolver($logger), $requests);
$request = Request::createFromGlobals();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
error_log('symfony: the application has finished');
