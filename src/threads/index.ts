export { joinThreads, startThreads, type ThreadPool, type ThreadView } from './pool.js';
